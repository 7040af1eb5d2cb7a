"""How SentencePiece prepares text (Kudo and Richardson 2018), for the `bpe` and `unigram` trainers.

NFKC; white space of any length is one space; a piece never spans two scripts, so signs part from letters; a
space belongs to the word after it and is written `▁`.
"""

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

SPACE = "▁"


def prepare(model: models.Model) -> tokenizers.Tokenizer:
    """A tokenizer around an untrained model."""
    engine = tokenizers.Tokenizer(model)
    engine.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    engine.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.UnicodeScripts(), pre_tokenizers.Metaspace(SPACE, prepend_scheme="first")]
    )
    engine.decoder = decoders.Metaspace(SPACE, prepend_scheme="first")
    return engine
