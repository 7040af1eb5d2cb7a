"""Views of frames."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from prolepsis.video.moco.config import Augmentation
from prolepsis.video.moco.views import draw_crop, draw_view

NOTHING = {
    "crop_scale": (1.0, 1.0),
    "crop_ratio": (1.0, 1.0),
    "jitter_probability": 0.0,
    "grayscale_probability": 0.0,
    "blur_probability": 0.0,
    "flip_probability": 0.0,
}


@pytest.fixture
def frame() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC))


def view(frame: np.ndarray, seed: int = 0, **changes: object) -> np.ndarray:
    return draw_view(frame, 48, Augmentation(**NOTHING | changes), np.random.default_rng(seed))


def test_without_augmentation_a_view_is_its_frame(frame):
    assert np.array_equal(view(frame), frame)


def test_a_flip_exchanges_left_and_right(frame):
    assert np.array_equal(view(frame, flip_probability=1.0), frame[:, ::-1])


def test_a_gray_view_has_three_equal_channels(frame):
    gray = view(frame, grayscale_probability=1.0)
    assert (gray == gray[..., :1]).all()
    assert gray.std() > 10


def test_a_blur_takes_detail_out(frame):
    noise = np.random.default_rng(1).integers(0, 256, frame.shape, dtype=np.uint8)
    widths = [(0.1, 0.1), (1.0, 1.0), (2.0, 2.0)]
    spreads = [view(noise, blur_probability=1.0, blur_sigma=width).std() for width in widths]
    assert spreads[0] > 2 * spreads[1] > 2 * spreads[2]


@pytest.mark.parametrize("part", ["brightness", "contrast", "saturation", "hue"])
def test_colours_change_no_more_than_they_may(frame, part: str):
    still = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    assert np.abs(view(frame, jitter_probability=1.0, **still).astype(int) - frame).max() <= 1
    changed = view(frame, jitter_probability=1.0, **still | {part: 0.3})
    assert np.abs(changed.astype(int) - frame).max() > 3
    operation = getattr(v2.functional, f"adjust_{part}")
    bounds = (-0.3, 0.3) if part == "hue" else (0.7, 1.3)
    farthest = [
        np.abs(np.array(operation(Image.fromarray(frame), bound)).astype(int) - frame).sum()
        for bound in bounds
    ]
    assert np.abs(changed.astype(int) - frame).sum() <= max(farthest)


def test_crops_are_drawn_as_torchvision_draws_them():
    augmentation = Augmentation()
    torch.manual_seed(0)
    transform, image = v2.RandomResizedCrop(24, (0.2, 1.0)), torch.zeros(3, 90, 120)
    drawn = [transform.make_params([image]) for _ in range(3000)]
    theirs = np.array([[one[key] for key in ("top", "left", "height", "width")] for one in drawn])
    generator = np.random.default_rng(0)
    ours = np.array([draw_crop(90, 120, augmentation, generator) for _ in range(3000)])
    for quantity in (lambda crops: crops, lambda crops: crops[:, 2] * crops[:, 3] / 10800):
        mine, other = quantity(ours), quantity(theirs)
        assert np.allclose(mine.mean(axis=0), other.mean(axis=0), rtol=0.06)
        assert np.allclose(mine.std(axis=0), other.std(axis=0), rtol=0.06)
    assert (ours[:, 0] + ours[:, 2] <= 90).all()
    assert (ours[:, 1] + ours[:, 3] <= 120).all()


def test_a_frame_that_no_crop_fits_gives_its_middle():
    augmentation = Augmentation(crop_scale=(1.0, 1.0))
    top, left, height, width = draw_crop(10, 100, augmentation, np.random.default_rng(0))
    assert (top, height) == (0, 10)
    assert width == round(10 * 4 / 3)
    assert left == (100 - width) // 2


def test_a_view_depends_on_its_generator_alone(frame):
    paper = Augmentation()
    first = draw_view(frame, 24, paper, np.random.default_rng(3))
    torch.manual_seed(5)
    np.random.seed(5)
    torch.rand(10)
    assert np.array_equal(draw_view(frame, 24, paper, np.random.default_rng(3)), first)
    assert not np.array_equal(draw_view(frame, 24, paper, np.random.default_rng(4)), first)
    assert first.shape == (24, 24, 3)


def test_each_change_is_as_frequent_as_asked(frame):
    flips = sum(
        np.array_equal(view(frame, seed, flip_probability=0.5), frame[:, ::-1]) for seed in range(400)
    )
    assert math.isclose(flips / 400, 0.5, abs_tol=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop_scale": (0.9, 0.2)}, "crop_scale goes from a smaller"),
        ({"crop_scale": (0.2, 1.5)}, "at most 1"),
        ({"hue": 0.6}, "hue"),
        ({"sharpness": 1.0}, "sharpness"),
    ],
)
def test_wrong_augmentations_are_named(change: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Augmentation(**change)
