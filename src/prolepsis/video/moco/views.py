"""Views of a frame: MoCo v2's augmentations, each drawn from a generator of its own.

The operations are torchvision's (`transforms.v2.functional`), and the draws those of its classes
RandomResizedCrop, ColorJitter, RandomGrayscale, GaussianBlur and RandomHorizontalFlip. The classes themselves
draw from PyTorch's global generator, which the training and other threads draw from as well; here a view is a
function of its frame and its generator.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as operations

from prolepsis.video.moco.config import Augmentation

_CROP_ATTEMPTS = 10
# A Gaussian is told to three of its widths on either side; PIL's, which the paper blurs with, has no edge.
_BLUR_REACH = 3.0


def draw_view(frame: Tensor, size: int, augmentation: Augmentation, generator: np.random.Generator) -> Tensor:
    """A random view of a frame: uint8 `[3, H, W]` to uint8 `[3, size, size]`."""
    top, left, height, width = draw_crop(frame.shape[1], frame.shape[2], augmentation, generator)
    view: Tensor = operations.resized_crop(frame, top, left, height, width, [size, size], antialias=True)
    if generator.random() < augmentation.jitter_probability:
        view = _jitter(view, augmentation, generator)
    if generator.random() < augmentation.grayscale_probability:
        view = operations.rgb_to_grayscale(view, num_output_channels=3)
    if generator.random() < augmentation.blur_probability:
        view = _blur(view, generator.uniform(*augmentation.blur_sigma))
    if generator.random() < augmentation.flip_probability:
        view = operations.horizontal_flip(view)
    return view


def draw_crop(
    height: int, width: int, augmentation: Augmentation, generator: np.random.Generator
) -> tuple[int, int, int, int]:
    """Top, left, height and width of a crop, as `RandomResizedCrop` draws it."""
    low, high = (math.log(ratio) for ratio in augmentation.crop_ratio)
    for _ in range(_CROP_ATTEMPTS):
        area = height * width * generator.uniform(*augmentation.crop_scale)
        ratio = math.exp(generator.uniform(low, high))
        crop_width, crop_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = int(generator.integers(height - crop_height, endpoint=True))
            left = int(generator.integers(width - crop_width, endpoint=True))
            return top, left, crop_height, crop_width
    return _largest_crop(height, width, augmentation)


def _largest_crop(height: int, width: int, augmentation: Augmentation) -> tuple[int, int, int, int]:
    """In the middle, with the nearest ratio that is allowed."""
    smallest, largest = augmentation.crop_ratio
    crop_height = min(height, round(width / smallest))
    crop_width = min(width, round(height * largest))
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width


def _jitter(view: Tensor, augmentation: Augmentation, generator: np.random.Generator) -> Tensor:
    """Brightness, contrast, saturation and hue, in a random order."""
    for number in generator.permutation(4):
        if number == 0:
            view = operations.adjust_brightness(view, _factor(augmentation.brightness, generator))
        elif number == 1:
            view = operations.adjust_contrast(view, _factor(augmentation.contrast, generator))
        elif number == 2:
            view = operations.adjust_saturation(view, _factor(augmentation.saturation, generator))
        elif augmentation.hue:
            view = operations.adjust_hue(view, generator.uniform(-augmentation.hue, augmentation.hue))
    return view


def _factor(most: float, generator: np.random.Generator) -> float:
    return float(generator.uniform(1.0 - most, 1.0 + most))


def _blur(view: Tensor, sigma: float) -> Tensor:
    # torchvision mirrors the image at its edge, which must be wider than the kernel reaches.
    reach = min(math.ceil(_BLUR_REACH * sigma), min(view.shape[1:]) - 1)
    blurred: Tensor = operations.gaussian_blur(view, [2 * reach + 1] * 2, [sigma, sigma])
    return blurred


def as_tensor(frame: np.ndarray) -> Tensor:
    """`[H, W, 3]` to `[3, H, W]`, copied out of the file it is mapped from."""
    return torch.from_numpy(np.array(frame)).permute(2, 0, 1)
