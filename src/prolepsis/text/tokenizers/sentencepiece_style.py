"""How SentencePiece prepares text (Kudo and Richardson 2018), for the `bpe` and `unigram` trainers.

NFKC; white space of any length is one space; a space belongs to what comes after it and is written `▁`, with
one before the text too. A word is a run of letters, of digits or of other signs, and Chinese characters and
kana part from other letters: no piece spans two of them.
"""

import polars as pl
import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

SPACE = "▁"

_CJK = r"\p{Han}\p{Hiragana}\p{Katakana}"
WORD = (
    rf"{SPACE}?[{_CJK}]+"
    rf"|{SPACE}?(?:[\p{{L}}\p{{M}}&&[^{_CJK}]])+"
    rf"|{SPACE}?\p{{N}}+"
    rf"|{SPACE}?[^{SPACE}\p{{L}}\p{{M}}\p{{N}}]+"
    rf"|{SPACE}"
)

# The tables of `tokenizers` for NFKC are those of Unicode 9. Normalisation never changes for a character that
# has been assigned, and emoji have none; for other newer ones polars, whose tables are newer, may differ.
_NEWER = r"[[^\p{Age=9.0}]--\p{Emoji}]"


def prepare(model: models.Model) -> tokenizers.Tokenizer:
    """A tokenizer around a model."""
    engine = tokenizers.Tokenizer(model)
    engine.normalizer = _normalizer()
    engine.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(SPACE, prepend_scheme="first", split=False),
            pre_tokenizers.Split(Regex(WORD), behavior="isolated"),
        ]
    )
    engine.decoder = decoders.Metaspace(SPACE, prepend_scheme="first")
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


def words(texts: pl.Series) -> pl.Series:
    """All words of all texts, in order."""
    return normalised(texts).str.extract_all(WORD).explode().drop_nulls()


def _normalizer() -> normalizers.Normalizer:
    return normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
