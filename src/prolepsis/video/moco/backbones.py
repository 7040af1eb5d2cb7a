"""Image networks of torchvision as backbones: their features, without the classifier."""

from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from prolepsis.errors import ProlepsisError
from prolepsis.training.saved_model import SavedModel
from prolepsis.video.encoders import torchvision_networks as networks
from prolepsis.video.encoders.base import ImageEncoder, hash_weights

# Of ImageNet, as MoCo normalises; to a network that starts from nothing it matters little.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
METHOD = "moco"

_WHERE = "moco_pretraining.model"
_AUXILIARY_CLASSIFIERS = ("aux1", "aux2", "AuxLogits")


def build_backbone(name: str, image_size: int, seed: int) -> tuple[nn.Module, int]:
    """A network with random weights drawn from a seed, `[B, 3, S, S]` to `[B, D]`, and D.

    Raises:
        ProlepsisError: torchvision has no such classifier, or it does not take images of that size.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    networks.check_name(name, known, "image classifier", f"{_WHERE}.backbone")
    network = networks.build(name, None, seed)
    _remove_auxiliary_classifiers(network)
    dimension = networks.remove_last_layer(network, name, (nn.Linear,), f"{_WHERE}.backbone")
    _check_size(network, name, image_size)
    return network, dimension


def save_backbone(
    network: nn.Module, *, name: str, image_size: int, frame_size: int, seed: int, **metadata: Any
) -> SavedModel:
    """A backbone's weights, with what `load_encoder` needs to build its network, and further metadata."""
    described = {
        "method": METHOD,
        "backbone": name,
        "image_size": image_size,
        "frame_size": frame_size,
        "seed": seed,
        "num_parameters": sum(parameter.numel() for parameter in network.parameters()),
    }
    return SavedModel(dict(network.state_dict()), described | metadata)


def load_encoder(saved: SavedModel, *, trained: bool = True) -> ImageEncoder:
    """The frozen backbone as a frame encoder: whole frames in, features out.

    Args:
        trained: False for the weights that the training began with.

    Raises:
        ProlepsisError: it is the model of another method, or its weights do not fit its network.
    """
    metadata = saved.metadata
    if metadata.get("method") != METHOD:
        raise ProlepsisError(
            "This is not a model of momentum contrast.",
            where="frame encoder moco",
            remedy="Give the folder that kedro run --pipelines moco_pretraining wrote: data/06_models/moco",
        )
    network, dimension = build_backbone(metadata["backbone"], metadata["image_size"], metadata["seed"])
    if trained:
        try:
            network.load_state_dict(saved.state)
        except RuntimeError as error:
            raise ProlepsisError(
                f"The saved weights do not fit {metadata['backbone']}: {error}",
                remedy="train it again with the version of torchvision that is installed",
            ) from error
    return ImageEncoder(
        network,
        dimension=dimension,
        input_size=metadata["frame_size"],
        network_size=metadata["image_size"],
        mean=MEAN,
        std=STD,
        weights_sha256=hash_weights(network),
    )


def _remove_auxiliary_classifiers(network: nn.Module) -> None:
    """GoogLeNet and Inception v3 have classifiers in their middle, which train by labels."""
    if hasattr(network, "aux_logits"):
        setattr(network, "aux_logits", False)  # noqa: B010 (to mypy every attribute of a module is a module)
        for name in _AUXILIARY_CLASSIFIERS:
            if hasattr(network, name):
                setattr(network, name, None)


@torch.no_grad()
def _check_size(network: nn.Module, name: str, size: int) -> None:
    was_training = network.training
    network.eval()
    try:
        features = network(torch.zeros(1, 3, size, size))
    except (RuntimeError, AssertionError) as error:
        raise ProlepsisError(
            f"{name} does not take images of {size} pixels: {error}",
            where=f"{_WHERE}.image_size",
            remedy="Choose another size (a vision transformer takes its own only), or another backbone.",
        ) from error
    if not isinstance(features, Tensor) or features.ndim != 2:
        raise ProlepsisError(f"{name} does not give one vector per image.", where=f"{_WHERE}.backbone")
    network.train(was_training)
