from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prolepsis.text.bert.packing import PackedRows, pack_best_fit

ROW_LENGTH = 20
LENGTHS = st.lists(st.integers(1, ROW_LENGTH), max_size=60)


@settings(deadline=None)
@given(LENGTHS)
def test_every_example_lies_in_one_row_and_no_row_is_too_long(lengths: list[int]) -> None:
    packed = pack(lengths)
    assert sorted(packed.examples.tolist()) == list(range(len(lengths)))
    for index in range(len(packed)):
        assert 0 < sum(lengths[example] for example in packed.row(index)) <= ROW_LENGTH


@settings(deadline=None)
@given(LENGTHS)
def test_no_two_rows_could_have_been_one(lengths: list[int]) -> None:
    packed = pack(lengths)
    filled = sorted(sum(lengths[example] for example in packed.row(row)) for row in range(len(packed)))
    assert len(filled) < 2 or filled[0] + filled[1] > ROW_LENGTH


@settings(deadline=None)
@given(LENGTHS)
def test_rows_are_filled_as_the_rule_of_best_fit_says(lengths: list[int]) -> None:
    rows: list[list[int]] = []
    for length in sorted(lengths, reverse=True):
        fitting = [row for row in rows if sum(row) + length <= ROW_LENGTH]
        if fitting:
            max(fitting, key=sum).append(length)
        else:
            rows.append([length])
    packed = pack(lengths)
    ours = [[lengths[example] for example in packed.row(row)] for row in range(len(packed))]
    # Which of two equally full rows is filled is free, so rows are compared by how full they are.
    assert Counter(map(sum, ours)) == Counter(map(sum, rows))


def test_short_documents_leave_little_room() -> None:
    lengths = np.random.default_rng(0).integers(5, 65, size=20_000)
    packed = pack_best_fit(lengths, 128)
    assert lengths.sum() / (len(packed) * 128) > 0.995


@pytest.mark.parametrize("lengths", [[], [ROW_LENGTH], [1]])
def test_the_smallest_inputs(lengths: list[int]) -> None:
    assert len(pack(lengths)) == len(lengths)


def pack(lengths: list[int]) -> PackedRows:
    return pack_best_fit(np.array(lengths, dtype=np.int64), ROW_LENGTH)
