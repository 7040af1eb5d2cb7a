"""How BERT prepares text (Devlin et al. 2019, `tokenization.py` in google-research/bert).

Text is cleaned of control characters, lower-cased and stripped of accents unless `cased`, and cut at white
space, at punctuation and around every CJK character. Whole words keep their accents, which BERT's do not.
"""

import polars as pl
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from prolepsis.text.tokenizers.words import Words, extract

CONTINUES = "##"

# White spaces that the clean-up takes for control characters: it removes them, so that what stands before and
# after them is one word.
_REMOVED = r"\x0B\x0C\x85"
_SIGN = r"!-/:-@\[-`{-~"
_SPACED = rf"[[^\s{_SIGN}]{_REMOVED}]+|[{_SIGN}]|[\s--{_REMOVED}]+"


def prepare(model: models.Model, *, cased: bool, accents: bool = False) -> tokenizers.Tokenizer:
    """A tokenizer around a model.

    Args:
        model: what encodes a word.
        cased: keep upper case and accents.
        accents: keep accents in any case.
    """
    engine = tokenizers.Tokenizer(model)
    # None: without accents where there is no upper case, as BERT's own code has it.
    engine.normalizer = normalizers.BertNormalizer(
        lowercase=not cased, strip_accents=False if accents else None
    )
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.decoder = decoders.WordPiece(prefix=CONTINUES, cleanup=False)
    return engine


def spaced_words(texts: pl.Series) -> Words:
    """White space, single ASCII signs and what is between them; put together they are the text.

    BERT's words lie inside these: each can be normalised and cut further without the others.
    """
    return extract(texts, _SPACED)


def words_of(engine: tokenizers.Tokenizer, text: str) -> list[str]:
    """The words into which a tokenizer that `prepare` made cuts a text."""
    normal = engine.normalizer.normalize_str(text)
    return [word for word, _ in engine.pre_tokenizer.pre_tokenize_str(normal)]
