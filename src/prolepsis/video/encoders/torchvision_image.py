"""Any image classifier of torchvision, by name, without its last layer.

The features are what the classifier's last linear layer reads: `pool5` of a ResNet, `fc7` of a VGG, the class
token of a ViT. Images are normalised as the chosen weights say and, unlike in torchvision's presets, shown
whole (see `base`).
"""

import torch
import torchvision
from pydantic import BaseModel, ConfigDict
from torch import nn
from torchvision.models import Weights

from prolepsis.errors import ProlepsisError
from prolepsis.plugins import offer
from prolepsis.video.encoders.base import ImageEncoder, hash_weights

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_IMAGENET_SIZE = 224


class TorchvisionImageEncoder(ImageEncoder):
    """Frames to the input of a torchvision classifier's last linear layer."""

    class Config(BaseModel):
        """Which network, with which weights."""

        model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

        name: str = "resnet50"
        """Of the network's builder in `torchvision.models`."""
        weights: str | None = "DEFAULT"
        """As torchvision names them (`IMAGENET1K_V2`), downloaded once to `$TORCH_HOME`.

        Null for a random network: a baseline of what the pixels alone give, not a representation.
        """
        seed: int = 0
        """Of a random network's weights."""

    def __init__(self, config: Config) -> None:
        known = torchvision.models.list_models(module=torchvision.models)
        if config.name not in known:
            raise ProlepsisError(
                f"torchvision has no image classifier {config.name!r}.",
                where="prolepsis.frame_encoders: torchvision: name",
                remedy=offer(config.name, known),
            )
        weights = _find_weights(config)
        network = _build(config, weights)
        weights_sha256 = hash_weights(network)
        preset = weights.transforms() if weights else None
        super().__init__(
            network,
            dimension=_remove_last_layer(network, config.name),
            input_size=preset.crop_size[0] if preset else _IMAGENET_SIZE,
            mean=preset.mean if preset else _IMAGENET_MEAN,
            std=preset.std if preset else _IMAGENET_STD,
            weights_sha256=weights_sha256,
        )


def _find_weights(config: TorchvisionImageEncoder.Config) -> Weights | None:
    if config.weights is None:
        return None
    choices = torchvision.models.get_model_weights(config.name)
    if config.weights not in choices.__members__:
        raise ProlepsisError(
            f"torchvision has no weights {config.weights!r} for {config.name}.",
            where="prolepsis.frame_encoders: torchvision: weights",
            remedy=offer(config.weights, list(choices.__members__)),
        )
    return choices[config.weights]


def _build(config: TorchvisionImageEncoder.Config, weights: Weights | None) -> nn.Module:
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network: nn.Module = torchvision.models.get_model(config.name, weights=weights)
    except OSError as error:
        raise ProlepsisError(
            f"The weights {config.weights} of {config.name} cannot be downloaded: {error}",
            where=weights.url if weights else None,
            remedy=f"Put the file into {torch.hub.get_dir()}/checkpoints, or choose the encoder "
            "'efficientnet_lite0', whose weights are installed with this project.",
        ) from error
    return network


def _remove_last_layer(network: nn.Module, name: str) -> int:
    """Replaces the last linear layer by nothing, in place; returns how many features it read."""
    linear = [(path, module) for path, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ProlepsisError(
            f"{name} does not end in a linear layer, so it has no vector per frame to offer.",
            where="prolepsis.frame_encoders: torchvision: name",
            remedy="Choose a network with a linear classifier, such as resnet50.",
        )
    path, layer = linear[-1]
    owner, _, attribute = path.rpartition(".")
    setattr(network.get_submodule(owner), attribute, nn.Identity())
    return layer.in_features
