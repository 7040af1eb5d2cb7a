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
WORD = (
    rf"{SPACE}?[{_CJK}]+"
    rf"|{SPACE}?(?:[\p{{L}}\p{{M}}&&[^{_CJK}]])+"
    rf"|{SPACE}?\p{{N}}+"
    rf"|{SPACE}?[^{SPACE}\p{{L}}\p{{M}}\p{{N}}]+"
    rf"|{SPACE}"
)

_SPACED = rf"{SPACE}?[{_CJK}]+|{SPACE}?\p{{N}}+|{SPACE}?[^{SPACE}{_CJK}\p{{N}}]+|{SPACE}"

# The tables of `tokenizers` for NFKC are those of Unicode 9. Normalisation never changes for a character that
# has been assigned, and emoji have none; for other newer ones polars, whose tables are newer, may differ.
_NEWER = r"[[^\p{Age=9.0}]--\p{Emoji}]"


def prepare(model: models.Model) -> tokenizers.Tokenizer:
    """A tokenizer around a model."""
    engine = tokenizers.Tokenizer(model)
    engine.normalizer = _normalizer()
    engine.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(SPACE, prepend_scheme="always", split=False),
            pre_tokenizers.Split(Regex(WORD), behavior="isolated"),
        ]
    )
    engine.decoder = decoders.Metaspace(SPACE, prepend_scheme="always")
    return engine


def normalised(texts: pl.Series) -> pl.Series:
    """The texts as the tokenizer's model sees them, spaces and the one before the text written `▁`."""
    newer = texts.str.contains(_NEWER)
    prepared = texts.str.normalize("NFKC").str.strip_chars().str.replace_all(r"\s+", SPACE)
    if newer.any():
        normalizer = _normalizer()
        own = [normalizer.normalize_str(text).replace(" ", SPACE) for text in texts.filter(newer)]
        prepared = prepared.scatter(newer.arg_true(), own)
    begun = prepared.str.starts_with(SPACE) | (prepared == "")
    return pl.select(pl.when(begun).then(prepared).otherwise(SPACE + prepared)).to_series()


def words(texts: pl.Series) -> Words:
    """The words of the texts; those of a text put together are the normalised text."""
    return extract(normalised(texts), WORD)


def spaced_words(texts: pl.Series) -> Words:
    """Texts cut at spaces and around numbers, Chinese characters and kana: each is one or more of `words`."""
    return extract(normalised(texts), _SPACED)


def is_one_word(pieces: pl.Series) -> pl.Series:
    """Which pieces lie inside one of `words`."""
    return pieces.str.contains(rf"^(?:{WORD})$")


def _normalizer() -> normalizers.Normalizer:
    return normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
