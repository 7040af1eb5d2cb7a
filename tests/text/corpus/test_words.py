import polars as pl
import pytest

from prolepsis.text.corpus.words import WORD, num_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop, l’été!", ["Don't", "stop", "l’été"]),
        ("about 3.14 or 1,000,000.", ["about", "3.14", "or", "1,000,000"]),
        ("well-known", ["well", "known"]),
        ("中文字 and かな", ["中", "文", "字", "and", "か", "な"]),
        ("ง่าย ที่", ["ง่", "า", "ย", "ที่"]),
        ("cafe\u0301", ["cafe\u0301"]),
        ("... -- !", []),
    ],
)
def test_words_are_runs_of_letters_and_digits(text: str, words: list[str]) -> None:
    assert pl.Series([text]).str.extract_all(WORD)[0].to_list() == words
    assert pl.select(num_words(pl.lit(text))).item() == len(words)
