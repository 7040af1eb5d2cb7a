import unicodedata

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.text.corpus.shingles import shingle_hashes

# Letters with and without accents, marks, digits of several scripts, ideographs, and what parts words.
CHARACTERS = "aÀéßİıǅ\u0301œ1٣９_ -'.,\n中文あアไทยกΣσя한"
TEXTS = st.lists(st.one_of(st.text(CHARACTERS, max_size=30), st.text(max_size=30)), max_size=5)


def words_of(text: str) -> list[str]:
    """What the words of a text are, character by character."""
    words, word = [], ""
    for character in text + " ":
        category = unicodedata.category(character)
        name = unicodedata.name(character, "")
        if category == "Mn":
            continue
        own = name.split()[0:1] in (["HIRAGANA"], ["KATAKANA"], ["THAI"], ["LAO"], ["KHMER"], ["MYANMAR"])
        own = (own or name.startswith("CJK")) and category[0] in "LM"
        if own or category[0] not in "LMN":
            words += [word] if word else []
            word = ""
        if own:
            words.append(character)
        elif category == "Nd":
            word += "" if word.endswith("0") else "0"
        elif category[0] in "LMN":
            folded = [
                c for c in unicodedata.normalize("NFD", character.lower()) if unicodedata.category(c) != "Mn"
            ]
            word += folded[0] if len(folded) == 1 else character
    return words


def runs_of(text: str, n: int) -> list[tuple[str, ...]]:
    words = words_of(text)
    if len(words) < n:
        return [tuple(words)] if words else []
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]


@given(TEXTS, st.integers(1, 4))
def test_equal_runs_have_equal_hashes_and_others_do_not(texts: list[str], n: int) -> None:
    # Ideographs beyond the table have no name here that would tell them.
    texts = ["".join(c for c in text if ord(c) < 0x20000) for text in texts]

    hashes, starts = shingle_hashes(pl.Series(texts, dtype=pl.String), n)

    expected = [runs_of(text, n) for text in texts]
    assert np.diff(starts).tolist() == [len(runs) for runs in expected]
    of_run: dict[tuple[str, ...], int] = {}
    for run, value in zip((run for runs in expected for run in runs), hashes.tolist(), strict=True):
        assert of_run.setdefault(run, value) == value
    assert len(set(of_run.values())) == len(of_run)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("L'ÉTÉ, déjà?", "l ete deja"),
        ("in 1984 and 20", "IN 7 AND 1"),
        ("e\u0301te\u0301", "ete"),
        ("中文", "中 文"),
        ("𠀀𠀁", "𠀀 𠀁"),
    ],
)
def test_what_does_not_make_another_text(one: str, other: str) -> None:
    hashes, starts = shingle_hashes(pl.Series([one, other]), 2)

    assert starts[1] == starts[2] - starts[1] > 0
    assert hashes[: starts[1]].tolist() == hashes[starts[1] :].tolist()


@given(TEXTS, st.integers(0, 3))
def test_a_slice_of_a_column_gives_the_same_hashes(texts: list[str], start: int) -> None:
    column = pl.Series(texts, dtype=pl.String)

    hashes, starts = shingle_hashes(column, 2)
    sliced, slice_starts = shingle_hashes(column[start:], 2)

    first = starts[min(start, len(texts))]
    assert sliced.tolist() == hashes[first:].tolist()
    assert (slice_starts + first).tolist() == starts[min(start, len(texts)) :].tolist()
