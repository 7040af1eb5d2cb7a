"""Pairs of views: the same whatever workers there are, wherever a run goes on."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch

from prolepsis.video.frame_images import FrameImages
from prolepsis.video.moco.config import Augmentation
from prolepsis.video.moco.pairs import FramePairs, PairBatch, training_batches, validation_batches

VIDEOS = {"a": ("train", 9), "b": ("val", 7), "c": ("train", 12)}


@pytest.fixture
def images(make_images: Callable[..., FrameImages]) -> FrameImages:
    return make_images(VIDEOS)


def pairs(images: FrameImages, split: str = "train", seconds: float = 0.0, seed: int = 1) -> FramePairs:
    return FramePairs(
        images, split, size=16, augmentation=Augmentation(), positive_seconds=seconds, seed=seed
    )


def epoch(images: FrameImages, number: int, first_step: int = 0, workers: int = 0) -> list[PairBatch]:
    return list(
        training_batches(
            pairs(images), number, first_step, batch_size=4, seed=1, num_workers=workers, pin_memory=False
        )
    )


def validation(images: FrameImages, workers: int = 0) -> list[PairBatch]:
    return list(validation_batches(pairs(images, "val"), batch_size=3, num_workers=workers, pin_memory=False))


def same(one: list[PairBatch], other: list[PairBatch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(getattr(a, part), getattr(b, part))
        for a, b in zip(one, other, strict=True)
        for part in ("queries", "keys", "order")
    )


def test_workers_change_nothing(images: FrameImages) -> None:
    alone = epoch(images, 0)
    torch.manual_seed(7)
    np.random.seed(7)
    assert same(epoch(images, 0, workers=2), alone)
    assert same(validation(images, workers=2), validation(images))


def test_the_global_generators_are_left_as_they_are(images: FrameImages) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    epoch(images, 0)
    epoch(images, 0, workers=1)
    assert torch.equal(torch.rand(3), expected)


def test_an_epoch_goes_on_from_a_step_with_the_same_batches(images: FrameImages) -> None:
    assert same(epoch(images, 2, first_step=3), epoch(images, 2)[3:])
    assert epoch(images, 2, first_step=5) == []


def test_epochs_differ_in_order_and_views_and_validation_does_not(images: FrameImages) -> None:
    assert not same(epoch(images, 0), epoch(images, 1))
    assert same(validation(images), validation(images))
    assert torch.equal(validation(images)[0].order, torch.arange(3))


def test_batches_are_whole_and_validation_has_every_frame(images: FrameImages) -> None:
    batches = epoch(images, 0)
    assert [len(batch.queries) for batch in batches] == [4] * 5
    assert all(sorted(batch.order.tolist()) == [0, 1, 2, 3] for batch in batches)
    assert batches[0].queries.shape == batches[0].keys.shape == (4, 16, 16, 3)
    assert batches[0].queries.dtype == torch.uint8
    assert not torch.equal(batches[0].queries, batches[0].keys)
    assert [len(batch.keys) for batch in validation(images)] == [3, 3, 1]


def test_an_epoch_shows_a_frame_at_most_once(images: FrameImages) -> None:
    plain = FramePairs(
        images,
        "train",
        size=24,
        augmentation=Augmentation(
            crop_scale=(1.0, 1.0),
            crop_ratio=(1.0, 1.0),
            jitter_probability=0.0,
            grayscale_probability=0.0,
            blur_probability=0.0,
            flip_probability=0.0,
        ),
        positive_seconds=0.0,
        seed=1,
    )
    batches = training_batches(plain, 0, 0, batch_size=4, seed=1, num_workers=0, pin_memory=False)
    shown = [query.numpy().tobytes() for batch in batches for query in batch.queries]
    train = np.concatenate([images["a"], images["c"]])
    assert len(set(shown)) == 20
    assert set(shown) <= {frame.tobytes() for frame in train}


@pytest.mark.parametrize(("seconds", "reach"), [(0.0, 0), (0.2, 0), (0.5, 2), (100.0, 12)])
def test_a_key_is_of_the_same_video_and_near_enough(images: FrameImages, seconds: float, reach: int) -> None:
    frames = pairs(images, seconds=seconds)
    generator = np.random.default_rng(0)
    distances: Counter[int] = Counter()
    for number in range(len(frames)):
        for _ in range(60):
            query, key = frames.draw_frames(number, generator)
            first, last = (0, 8) if query < 9 else (16, 27)
            assert first <= query <= last
            assert first <= key <= last
            distances[abs(query - key)] += 1
    assert max(distances) == min(reach, 11)


def test_neighbours_are_drawn_alike(images: FrameImages) -> None:
    frames = pairs(images, seconds=0.5)
    generator = np.random.default_rng(0)
    drawn = Counter(frames.draw_frames(4, generator)[1] for _ in range(1000))
    assert sorted(drawn) == [2, 3, 4, 5, 6]
    assert min(drawn.values()) > 150


def test_another_seed_is_another_view(images: FrameImages) -> None:
    one, other = pairs(images)[0, 3], pairs(images, seed=2)[0, 3]
    assert not torch.equal(one[0], other[0])
    assert torch.equal(pairs(images)[0, 3][0], one[0])


def test_a_split_without_videos_is_empty(images: FrameImages) -> None:
    assert len(pairs(images, "test")) == 0
