"""Any image classifier of torchvision, by name, without its last layer.

The features are what the classifier's last linear layer reads: `pool5` of a ResNet, `fc7` of a VGG, the class
token of a ViT. Images are normalised as the chosen weights say and, unlike in torchvision's presets, shown
whole (see `base`) and scaled bilinearly, also where the preset is bicubic (as Swin's).
"""

import torchvision
from torch import nn

from prolepsis.video.encoders import torchvision_networks as networks
from prolepsis.video.encoders.base import ImageEncoder, hash_weights

_WHERE = "prolepsis.frame_encoders: torchvision"
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_IMAGENET_SIZE = 224


class TorchvisionImageEncoder(ImageEncoder):
    """Frames to the input of a torchvision classifier's last linear layer."""

    class Config(networks.NetworkConfig):
        """Which network, with which weights."""

        name: str = "resnet50"
        """Of the network's builder in `torchvision.models`."""

    def __init__(self, config: Config) -> None:
        known = torchvision.models.list_models(module=torchvision.models)
        networks.check_name(config.name, known, "image classifier", _WHERE)
        weights = networks.find_weights(config.name, config.weights, _WHERE)
        network = networks.build(config.name, weights, config.seed)
        weights_sha256 = hash_weights(network)
        preset = weights.transforms() if weights else None
        super().__init__(
            network,
            dimension=networks.remove_last_layer(network, config.name, (nn.Linear,), _WHERE),
            input_size=preset.crop_size[0] if preset else _IMAGENET_SIZE,
            mean=preset.mean if preset else _IMAGENET_MEAN,
            std=preset.std if preset else _IMAGENET_STD,
            weights_sha256=weights_sha256,
        )
