"""What a word is where words are counted for people: a regular expression for polars (Rust syntax).

A run of letters, digits and marks, with apostrophes and decimal points inside it, is a word. Scripts written
without spaces count each character, with its marks, as a word.
"""

import polars as pl

_UNSPACED_SCRIPTS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"

WORD = (
    rf"[[{_UNSPACED_SCRIPTS}]&&[\p{{L}}\p{{N}}]]\p{{M}}*"
    rf"|[\p{{L}}\p{{M}}\p{{N}}_&&[^{_UNSPACED_SCRIPTS}]]+(?:['’][\p{{L}}\p{{M}}]+|[.,]\p{{N}}+)*"
)

UNSPACED_LANGUAGES = frozenset({"zh", "yue", "wuu", "ja", "th", "lo", "km", "my"})
"""Languages of which a word's length in characters says nothing, since each character counts as a word."""


def num_words(text: pl.Expr) -> pl.Expr:
    return text.str.count_matches(WORD)
