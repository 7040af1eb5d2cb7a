import unicodedata

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.text.corpus.normalisation import normalised

# Plenty of the characters that the function is about, among all others.
TEXTS = st.text(
    st.one_of(
        st.sampled_from(
            "\r\n\t \x0b\x0c\x85\u2028\u2029\u00a0\x00\x1b\u200b\ufeff\u202e\u0301\u0327eaA\u1100\u1161"
        ),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=60,
)


def normalise(text: str) -> str:
    return pl.DataFrame({"text": [text]}).select(normalised(pl.col("text"))).item()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\r\nb\rc\u2028d\u0085e\x0bf", "a\nb\nc\nd\ne\nf"),
        ("zero\u200bwidth\ufeff \u2060here", "zerowidth here"),
        ("bell\x07 escape\x1b[0m", "bell escape[0m"),
        ("over\u202eride", "override"),
        ("soft\u00adhyphen", "softhyphen"),
        ("cafe\u0301", "café"),
        ("\u1112\u1161\u11ab", "한"),
        ("line  \t\nnext", "line\nnext"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("  \n padded \n ", "padded"),
        ("tab\there", "tab\there"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("no\u00a0break", "no\u00a0break"),
    ],
)
def test_the_same_text_is_written_in_one_way(text: str, clean: str) -> None:
    assert normalise(text) == clean


@given(TEXTS)
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalise(text)

    assert normalise(once) == once


@given(TEXTS)
def test_what_comes_out_is_composed_and_holds_no_control_character(text: str) -> None:
    clean = normalise(text)

    assert unicodedata.is_normalized("NFC", clean)
    assert not any(unicodedata.category(c) == "Cc" for c in clean if c not in "\t\n")


@given(st.text(st.sampled_from("abc é中\n"), max_size=40))
def test_no_letter_is_lost(text: str) -> None:
    assert normalise(text).replace("\n", "").replace(" ", "") == text.replace("\n", "").replace(" ", "")
