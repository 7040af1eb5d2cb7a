"""Batches: every row once before any twice, like lengths together, always the same ones by their number."""

import numpy as np
import torch

from prolepsis.text.downstream.rows import BatchSequence, Row, collate
from prolepsis.text.downstream.windows import window_of_most_context, window_starts


def row(length: int, places: list[int] | None = None, second_start: int | None = None) -> Row:
    chosen = np.array(places or [0])
    return Row(
        example=0,
        token_ids=np.arange(1, length + 1),
        second_start=length if second_start is None else second_start,
        places=chosen,
        targets=np.zeros(len(chosen), np.int64),
        origin=chosen,
    )


def test_every_row_comes_once_before_any_comes_twice() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, size=1000)
    batches = BatchSequence(lengths, batch_size=8, seed=1)
    # Pools of 32 batches and passes of 125 end together after 32 passes.
    drawn = np.concatenate([batches[number] for number in range(125 * 32)])
    assert np.bincount(drawn, minlength=1000).tolist() == [32] * 1000
    for passes in (1, 5, 31):
        counts = np.bincount(drawn[: passes * 1000], minlength=1000)
        # Only the pool in which a pass ends may mix two of them.
        assert ((counts == passes) | (np.abs(counts - passes) == 1)).all()
        assert (counts != passes).sum() < 2 * 32 * 8


def test_a_batch_is_the_same_whenever_it_is_asked_for() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, size=77)
    one, other = (BatchSequence(lengths, batch_size=4, seed=3) for _ in range(2))
    forward = [one[number].tolist() for number in range(100)]
    assert [other[number].tolist() for number in (99, 3, 50, 99)] == [forward[n] for n in (99, 3, 50, 99)]
    assert BatchSequence(lengths, 4, seed=4)[0].tolist() != forward[0]


def test_rows_of_like_length_are_padded_together() -> None:
    lengths = np.random.default_rng(0).integers(3, 200, size=2000)
    batches = BatchSequence(lengths, batch_size=16, seed=0)
    padded = real = 0
    for number in range(125):
        chosen = lengths[batches[number]]
        padded += chosen.max() * len(chosen)
        real += chosen.sum()
    assert real / padded > 0.9


def test_fewer_rows_than_a_batch_fill_it_again_and_again() -> None:
    batches = BatchSequence(np.array([5, 6, 7]), batch_size=8, seed=0)
    assert sorted(np.bincount(batches[0], minlength=3)) == [2, 3, 3]
    everything = np.concatenate([batches[number] for number in range(3)])
    assert np.bincount(everything).tolist() == [8] * 3


def test_a_small_split_does_not_bring_a_row_and_itself_into_one_batch() -> None:
    batches = BatchSequence(np.arange(40) + 3, batch_size=8, seed=0)
    assert all(len(set(batches[number])) == 8 for number in range(100))


def test_a_batch_is_padded_to_its_longest_row_and_no_token_looks_at_padding() -> None:
    batch = collate([row(5, second_start=3), row(3, [0, 2])], pad_id=0)
    assert batch.token_ids.tolist() == [[1, 2, 3, 4, 5], [1, 2, 3, 0, 0]]
    assert batch.token_types.tolist() == [[0, 0, 0, 1, 1], [0] * 5]
    assert (batch.place_rows.tolist(), batch.places.tolist()) == ([0, 1, 1], [0, 0, 2])
    mask = batch.attention_mask
    assert mask is not None
    assert torch.isinf(mask[1, 0, 0]).tolist() == [False] * 3 + [True] * 2
    assert collate([row(4), row(4)], pad_id=0).attention_mask is None


def test_windows_reach_the_end_and_give_each_token_the_one_with_most_context() -> None:
    assert window_starts(10, 10, 5) == [0]
    starts = window_starts(23, 10, 5)
    assert starts == [0, 5, 10, 15]
    owner = window_of_most_context(23, 10, starts)
    for token, window in enumerate(owner):
        context = [
            min(token - start, min(start + 10, 23) - 1 - token) if start <= token < start + 10 else -1
            for start in starts
        ]
        assert context[window] == max(context)
    assert window_of_most_context(0, 10, [0]).tolist() == []
