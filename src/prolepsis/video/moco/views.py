"""Views of a frame: MoCo v2's augmentations, each drawn from a generator of its own.

The operations are those that torchvision's classes RandomResizedCrop, ColorJitter, RandomGrayscale and
RandomHorizontalFlip call (`transforms.v2.functional`), and Pillow's blur, which the paper takes; the draws
are those of the classes. The classes themselves draw from PyTorch's global generator, which the training and
other threads draw from as well; here a view is a function of its frame and its generator.

They work on Pillow's images, as the paper's do: at 64 pixels a change of hue took 0.4 ms and a blur 0.2, on
tensors 0.7 and up to 2.2 (one core of a Xeon).
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torchvision.transforms.v2 import functional as operations

from prolepsis.video.moco.config import Augmentation

_CROP_ATTEMPTS = 10


def draw_view(
    frame: NDArray[np.uint8], size: int, augmentation: Augmentation, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """A random view of a frame: `[H, W, 3]` to `[size, size, 3]`."""
    top, left, height, width = draw_crop(frame.shape[0], frame.shape[1], augmentation, generator)
    image = Image.fromarray(frame)
    view: Image.Image = operations.resized_crop(image, top, left, height, width, [size, size])
    if generator.random() < augmentation.jitter_probability:
        view = _jitter(view, augmentation, generator)
    if generator.random() < augmentation.grayscale_probability:
        view = operations.rgb_to_grayscale(view, num_output_channels=3)
    if generator.random() < augmentation.blur_probability:
        view = view.filter(ImageFilter.GaussianBlur(generator.uniform(*augmentation.blur_sigma)))
    if generator.random() < augmentation.flip_probability:
        view = operations.horizontal_flip(view)
    return np.array(view)


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


def _jitter(view: Image.Image, augmentation: Augmentation, generator: np.random.Generator) -> Image.Image:
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
