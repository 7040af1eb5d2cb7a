"""torchvision's networks by name, with weights by name, and what they are without their last layer."""

import torch
import torchvision
from pydantic import BaseModel, ConfigDict
from torch import nn
from torchvision.models import Weights

from prolepsis.errors import ProlepsisError
from prolepsis.plugins import offer


class NetworkConfig(BaseModel):
    """Which network, with which weights."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str
    """Of the network's builder in torchvision."""
    weights: str | None = "DEFAULT"
    """As torchvision names them (`IMAGENET1K_V2`), downloaded once to `$TORCH_HOME`.

    Null for a random network: a baseline of what the pixels alone give, not a representation.
    """
    seed: int = 0
    """Of a random network's weights."""


def check_name(name: str, known: list[str], kind: str, where: str) -> None:
    """Raises ProlepsisError, with the nearest known name, when torchvision has no such network."""
    if name not in known:
        raise ProlepsisError(
            f"torchvision has no {kind} {name!r}.", where=f"{where}: name", remedy=offer(name, known)
        )


def find_weights(name: str, weights: str | None, where: str) -> Weights | None:
    """The weights of a network by their name; None for None."""
    if weights is None:
        return None
    choices = torchvision.models.get_model_weights(name)
    if weights not in choices.__members__:
        raise ProlepsisError(
            f"torchvision has no weights {weights!r} for {name}.",
            where=f"{where}: weights",
            remedy=offer(weights, list(choices.__members__)),
        )
    return choices[weights]


def build(name: str, weights: Weights | None, seed: int) -> nn.Module:
    """The network with its weights, downloaded once to `$TORCH_HOME`, or random ones drawn from a seed."""
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network: nn.Module = torchvision.models.get_model(name, weights=weights)
    except OSError as error:
        raise ProlepsisError(
            f"The weights {weights} of {name} cannot be downloaded: {error}",
            where=weights.url if weights else None,
            remedy=f"Put the file into {torch.hub.get_dir()}/checkpoints, or choose the encoder "
            "'efficientnet_lite0', whose weights are installed with this project.",
        ) from error
    return network


def remove_last_layer(network: nn.Module, name: str, kinds: tuple[type[nn.Module], ...], where: str) -> int:
    """Replaces the last layer of one of `kinds` by nothing, in place; returns how many features it read."""
    layers = [(path, module) for path, module in network.named_modules() if isinstance(module, kinds)]
    if not layers:
        raise ProlepsisError(
            f"{name} does not end in a linear layer, so it has no vector per frame to offer.",
            where=f"{where}: name",
            remedy="Choose a network with a linear classifier, such as resnet50.",
        )
    path, layer = layers[-1]
    owner, _, attribute = path.rpartition(".")
    setattr(network.get_submodule(owner), attribute, nn.Identity())
    return int(getattr(layer, "in_features" if isinstance(layer, nn.Linear) else "in_channels"))
