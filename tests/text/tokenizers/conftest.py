"""A small multilingual text, texts that break tokenizers, and one trained tokenizer of each kind."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from prolepsis import plugins
from prolepsis.text.tokenizers import Tokenizer

SENTENCES = [
    "The train leaves the station at nine o'clock, and the trainer leaves with it.",
    "Le train quitte la gare à neuf heures ; les élèves déjà arrivés attendent l'été.",
    "El tren sale de la estación a las nueve. ¿Quién llegó mañana?",
    "火车九点离开车站。我们等待。",
    "Поезд отправляется в девять часов.",
    "Numbers 1234567 and 3.14, e-mail, under_score, (brackets) [too] «quotes».",
]


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    return SENTENCES


@pytest.fixture(scope="session")
def hard_texts() -> list[str]:
    """Other scripts, joined emoji, control and zero-width characters, no spaces, nothing at all."""
    return [
        *SENTENCES,
        "",
        " ",
        "\n\n\t \r\n",
        "Hello World",
        " Hello",
        "Ünïcödé ĥéŕė, ñandú, Straße, İstanbul, ﬁne",
        "e\u0301 vs é, \ufb01 ligature, ① ½ ²",
        "👩‍👩‍👧‍👦 family, 👍🏽 thumbs, 🇫🇷 flag, ☃️",
        "नमस्ते दुनिया, สวัสดีชาวโลก, مرحبا بالعالم, こんにちは世界, 한국어",
        "nul\x00bell\x07escape\x1b zero\u200bwidth\u200djoin \ufeffbom soft\u00adhyphen replacement\ufffd",
        "\u2028line\u2029paragraph\x85next\u00a0nbsp\u3000wide",
        "[PAD] [UNK] [CLS] [SEP] [MASK] <s> </s> <pad> <mask> ##ing ▁space Ġbyte",
        "a" * 5_000,
        "火" * 2_000,
        "ab1_" * 2_000,
        "x" + " " * 300 + "y",
        "\U0010ffff\U000e0001",
    ]


@pytest.fixture(scope="session")
def train() -> Callable[..., Tokenizer]:
    """`train(name, batches, **config)` trains a plugin, on the sentences unless told otherwise."""

    def train_plugin(name: str, batches: Iterable[Sequence[str]] | None = None, **config: Any) -> Tokenizer:
        group = "prolepsis.tokenizers"
        trainer = plugins.load(group, name)(plugins.configure(group, name, config))
        tokenizer: Tokenizer = trainer.train([SENTENCES * 5, SENTENCES] if batches is None else batches)
        return tokenizer

    return train_plugin


@pytest.fixture(scope="session", params=["bpe", "byte_bpe", "unigram", "word_level", "wordpiece"])
def tokenizer(request: pytest.FixtureRequest, train: Callable[..., Tokenizer]) -> Tokenizer:
    return train(request.param, vocabulary_size=400)
