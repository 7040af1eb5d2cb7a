import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prolepsis.action.sampling import SamplingConfig
from prolepsis.action.windows import LabelledVideo, Window, WindowSampler
from prolepsis.errors import ProlepsisError


def sampler(lengths: list[int], context: int = 0, horizon: int = 0, **sampling: object) -> WindowSampler:
    videos = [video(str(index), length) for index, length in enumerate(lengths)]
    return WindowSampler(videos, SamplingConfig(**sampling), context=context, horizon=horizon, seed=3)


def video(name: str, steps: int) -> LabelledVideo:
    features = np.repeat(np.arange(1, steps + 1, dtype=np.float16)[:, None], 2, axis=1)
    labels = np.eye(3, dtype=np.uint8)[np.arange(steps) % 3]
    return LabelledVideo(name, features, labels, np.arange(steps) % 5 == 4)


def steps_of(windows: list[Window]) -> list[tuple[int, int]]:
    return [(one.video, step) for one in windows for step in range(one.start, one.stop)]


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    size=st.integers(1, 12),
    epoch=st.integers(0, 5),
)
@settings(max_examples=50, deadline=None)
def test_with_partial_windows_every_step_is_seen_once_an_epoch(
    lengths: list[int], size: int, epoch: int
) -> None:
    cut = sampler(lengths, window_steps=size, partial_windows=True)
    [windows] = cut.draw(epoch, 1)
    assert sorted(steps_of(windows)) == [
        (i, step) for i, length in enumerate(lengths) for step in range(length)
    ]
    assert len(windows) <= cut.most_windows()
    assert all(one.stop - one.start <= size for one in windows)


@given(
    lengths=st.lists(st.integers(12, 60), min_size=1, max_size=3),
    size=st.integers(1, 8),
    context=st.integers(0, 4),
)
@settings(max_examples=50, deadline=None)
def test_without_them_windows_are_whole_disjoint_and_have_all_their_history(
    lengths: list[int], size: int, context: int
) -> None:
    cut = sampler(lengths, context, window_steps=size)
    [windows] = cut.draw(0, 1)
    seen = steps_of(windows)
    assert 1 <= len(windows) <= cut.most_windows()
    assert len(set(seen)) == len(seen)
    assert all(one.stop - one.start == size and one.start >= context for one in windows)
    assert all(one.stop <= lengths[one.video] for one in windows)


def test_windows_of_one_step_are_every_step() -> None:
    [windows] = sampler([9], context=3, window_steps=1).draw(0, 1)
    assert sorted(steps_of(windows)) == [(0, step) for step in range(3, 9)]


def test_offsets_are_drawn_anew_every_epoch_and_the_same_when_asked_again() -> None:
    cut = sampler([100, 90], window_steps=16)
    starts = [{one.start % 16 for one in cut.draw(epoch, 1)[0]} for epoch in range(6)]
    assert len(set(map(frozenset, starts))) > 1
    assert cut.draw(4, 3) == cut.draw(4, 3)


@given(num_batches=st.integers(1, 30))
def test_batches_are_even_and_never_empty(num_batches: int) -> None:
    batches = sampler([20, 13], window_steps=4, partial_windows=True).draw(1, num_batches)
    sizes = [len(batch) for batch in batches]
    assert len(sizes) == num_batches
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1


def test_a_batch_holds_history_window_and_labels_ahead() -> None:
    cut = sampler([10], context=3, horizon=2, window_steps=4, partial_windows=True)
    batch = cut.collate([Window(0, 1, 5), Window(0, 8, 10)], np.random.default_rng(0))
    # The first window's history begins two steps before the video; the features are the step plus one.
    assert batch.features[0, :, 0].tolist() == [0, 0, 1, 2, 3, 4, 5]
    assert batch.mask[0].tolist() == [False, False, True, True, True, True, True]
    assert batch.scored[0].tolist() == [False, False, False, True, True, True, True]
    assert batch.valid[0].tolist() == [False, False, True, True, True, True, False, True, True]
    assert batch.labels[0].argmax(-1)[2:].tolist() == [0, 1, 2, 0, 1, 2, 0]
    # The second one is shorter, and the video ends with it.
    assert batch.features[1, :, 0].tolist() == [6, 7, 8, 9, 10, 0, 0]
    assert batch.scored[1].tolist() == [False, False, False, True, True, False, False]
    assert batch.mask[1].tolist() == [True] * 5 + [False] * 2
    assert not batch.valid[1, 5:].any()


def test_only_a_share_of_each_window_is_learnt_from() -> None:
    cut = sampler([64], window_steps=16, scored_fraction=0.25)
    batches = list(cut.batches(0, 1))
    assert batches[0].scored.sum(1).unique().tolist() == [4]


def test_a_resumed_epoch_goes_on_with_the_same_batches() -> None:
    cut = sampler([64, 50], window_steps=8, partial_windows=True, scored_fraction=0.5)
    whole, rest = list(cut.batches(2, 5)), list(cut.batches(2, 5, first=3))
    for expected, found in zip(whole[3:], rest, strict=True):
        assert torch.equal(expected.features, found.features)
        assert torch.equal(expected.scored, found.scored)


def test_successive_epochs_score_other_steps() -> None:
    cut = sampler([64], window_steps=64, partial_windows=True, scored_fraction=0.2)
    masks = [next(cut.batches(epoch, 1)).scored.sum(0).tolist() for epoch in range(3)]
    assert all(a != b for a, b in itertools.pairwise(masks))


def test_videos_too_short_for_a_window_are_refused_with_a_remedy() -> None:
    with pytest.raises(ProlepsisError, match="long enough") as caught:
        sampler([5, 6], context=2, window_steps=5)
    assert "partial_windows" in str(caught.value)
