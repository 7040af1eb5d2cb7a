import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.text.token_shards import TokenShards
from prolepsis.text.word2vec.blocks import CACHE_LINE, Blocks, initial_tables

LENGTHS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=12), min_size=1, max_size=3)


def split_of(shards: Sequence[Sequence[int]], folder: Path) -> Any:
    """A split with documents of these lengths, whose tokens are numbered through."""
    parts, position = [], 0
    for number, lengths in enumerate(shards):
        offsets = np.cumsum([0, *lengths], dtype=np.int64)
        tokens = np.arange(position, position + offsets[-1], dtype=np.uint16)
        tokens.tofile(folder / f"{number}.tokens")
        parts.append(
            SimpleNamespace(tokens_path=folder / f"{number}.tokens", dtype=tokens.dtype, offsets=offsets)
        )
        position += int(offsets[-1])
    return SimpleNamespace(shards=parts, num_tokens=position)


@given(LENGTHS, st.integers(1, 30))
def test_blocks_hold_every_token_once_and_cut_only_documents_longer_than_a_block(
    shards: list[list[int]], block_tokens: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        split = split_of(shards, Path(folder))
        blocks = Blocks(split, block_tokens)
        taken = [blocks[i] for i in range(len(blocks))]
    pieces = [
        block.tokens[start:stop].tolist()
        for block in taken
        for start, stop in zip(block.offsets[:-1], block.offsets[1:], strict=True)
        if stop > start
    ]
    assert [token for piece in pieces for token in piece] == list(range(split.num_tokens))
    assert all(0 < len(block.tokens) <= block_tokens for block in taken)
    begins = {piece[0] for piece in pieces}
    position = 0
    for length in (length for part in shards for length in part if length):
        cuts = begins & set(range(position + 1, position + length))
        assert position in begins
        assert (length > block_tokens) == bool(cuts)
        position += length


def test_a_long_document_is_blocks_of_full_size_and_what_is_left_goes_with_its_neighbours() -> None:
    with tempfile.TemporaryDirectory() as folder:
        blocks = Blocks(split_of([[3, 25, 4]], Path(folder)), 10)
        offsets = [blocks[i].offsets.tolist() for i in range(len(blocks))]
    assert offsets == [[0, 3], [0, 10], [0, 10], [0, 5, 9]]


def test_a_shuffle_is_a_permutation_that_depends_on_its_seed(shards: TokenShards) -> None:
    blocks = Blocks(shards.split("train"), 100)
    orders = [[block.number for block in blocks.shuffled(seed)] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(len(blocks)))


def test_tables_begin_as_in_word2vec_c() -> None:
    inputs, outputs = initial_tables(500, 20, seed=1)
    assert not outputs.any()
    assert inputs.ctypes.data % CACHE_LINE == outputs.ctypes.data % CACHE_LINE == 0
    assert np.abs(inputs).max() <= 0.5 / 20
    assert inputs.std() == pytest.approx(1 / 20 / np.sqrt(12), rel=0.05)
