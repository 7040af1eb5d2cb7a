"""How SentencePiece prepares text (Kudo and Richardson 2018), for the `bpe` and `unigram` trainers.

NFKC; white space of any length is one space; a space belongs to what comes after it and is written `▁`, with
one before the text too. A word is a run of letters, of digits or of other signs, and Chinese characters and
kana part from other letters: no piece spans two of them.
"""

import polars as pl
import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

from prolepsis.text.tokenizers.words import Words, extract

SPACE = "▁"

_CJK = r"\p{Han}\p{Hiragana}\p{Katakana}"
_KINDS = (rf"[{_CJK}]", rf"[\p{{L}}\p{{M}}&&[^{_CJK}]]", r"\p{N}", rf"[^\s{SPACE}\p{{L}}\p{{M}}\p{{N}}]")
WORD = "|".join([*(f"{SPACE}?{kind}+" for kind in _KINDS), SPACE])

# The same before white space is written as one `▁`.
_ANY_SPACE = rf"(?:\s+|{SPACE})"
_RAW_WORD = "|".join([*(f"{_ANY_SPACE}?{kind}+" for kind in _KINDS), _ANY_SPACE])
_RAW_SPACED_WORD = (
    rf"{_ANY_SPACE}?[{_CJK}]+|{_ANY_SPACE}?\p{{N}}+|{_ANY_SPACE}?[^\s{SPACE}{_CJK}\p{{N}}]+|{_ANY_SPACE}"
)

# The tables of `tokenizers` for NFKC are those of Unicode 9. Normalisation never changes for a character that
# has been assigned, and emoji have none; for other newer ones polars, whose tables are newer, may differ.
_NEWER = r"[[^\p{Age=9.0}]--\p{Emoji}]"


def prepare(model: models.Model) -> tokenizers.Tokenizer:
    """A tokenizer around a model."""
    engine = tokenizers.Tokenizer(model)
    engine.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    engine.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(SPACE, prepend_scheme="always", split=False),
            pre_tokenizers.Split(Regex(WORD), behavior="isolated"),
        ]
    )
    engine.decoder = decoders.Metaspace(SPACE, prepend_scheme="always")
    return engine


def words(texts: pl.Series) -> Words:
    """The words of the texts, white space as it is: one `▁` when it begins a word."""
    return extract(_begun(texts), _RAW_WORD)


def spaced_words(texts: pl.Series) -> Words:
    """Texts cut at spaces and around numbers, Chinese characters and kana: each is one or more of `words`."""
    return extract(_begun(texts), _RAW_SPACED_WORD)


def written(words: pl.Series) -> pl.Series:
    """Words with `▁` for the white space that they begin with."""
    return words.str.replace(r"^\s+", SPACE)


def count_written(counts: pl.DataFrame) -> pl.DataFrame:
    """Counted words as they are written."""
    summed = counts.with_columns(written(counts["word"])).group_by("word").agg(pl.col("count").sum())
    return summed.sort("count", "word", descending=[True, False])


def is_one_word(pieces: pl.Series) -> pl.Series:
    """Which pieces, spaces written `▁`, lie inside one word."""
    return pieces.str.contains(rf"^(?:{WORD})$")


def _begun(texts: pl.Series) -> pl.Series:
    """The texts in NFKC, with one space before and none after them."""
    stripped = _nfkc(texts).str.strip_chars()
    begun = stripped.str.starts_with(SPACE) | (stripped == "")
    return pl.select(pl.when(begun).then(stripped).otherwise(" " + stripped)).to_series()


def _nfkc(texts: pl.Series) -> pl.Series:
    others = texts.str.contains(r"[^\x00-\x7F]").arg_true()  # than ASCII, which NFKC leaves as it is
    newer = texts.str.contains(_NEWER).arg_true()
    composed = texts.clone()  # `scatter` writes in place
    if len(others):
        composed = composed.scatter(others, texts.gather(others).str.normalize("NFKC"))
    if len(newer):
        normalizer = normalizers.NFKC()
        composed = composed.scatter(newer, [normalizer.normalize_str(text) for text in texts.gather(newer)])
    return composed
