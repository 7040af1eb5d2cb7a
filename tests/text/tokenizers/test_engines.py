"""The fast engine against `tokenizers`: the same words, the same ids, the same offsets."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
import tokenizers
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Regex, models, normalizers

from prolepsis.text.tokenizers import (
    Tokenizer,
    bert_style,
    byte_level,
    engines,
    sentencepiece_style,
)
from prolepsis.text.tokenizers.engines import fast_engine

Train = Callable[..., Tokenizer]

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("byte_bpe", {"pattern": "gpt2"}),
    ("byte_bpe", {"pattern": "gpt4"}),
    ("bpe", {}),
    ("unigram", {}),
    ("wordpiece", {"cased": False}),
    ("wordpiece", {"cased": True}),
    ("word_level", {"cased": False}),
    ("word_level", {"cased": True}),
]

EVERY_CHARACTER = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]

SOME_CHARACTERS = [
    character for character in EVERY_CHARACTER if ord(character) < 0x3400 or ord(character) % 97 == 0
]

# What decides where words end: white space of every kind, contractions, marks alone, signs, digits, scripts.
crafted = st.text(
    alphabet=st.sampled_from(
        " \t\n\r\x0b\x0c\x85\xa0\u2028\u3000\u200b\ufeff'’sSſtTrReEvVlLmMdD.,!?-_/([▁#\"«0123½²٣"
        "aéßÉ\u0301\u0308\u0345\u0bcd火車カーのĞж한ก้𝔘🙂👍🏽\u200d\x00\x1c\xad\u0898\U0010ffff¨ﬁ"
    ),
    max_size=60,
)
texts = st.one_of(crafted, st.text(max_size=60))


@pytest.fixture(
    scope="module", params=KINDS, ids=lambda kind: "-".join([kind[0], *map(str, kind[1].values())])
)
def tokenizer(request: pytest.FixtureRequest, train: Train) -> Tokenizer:
    name, config = request.param
    return train(name, vocabulary_size=500, **config)


@pytest.fixture(scope="module")
def peer(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    """The library alone, told as the class is told that special tokens in a text are only text."""
    library = tokenizers.Tokenizer.from_str(tokenizer.definition)
    library.encode_special_tokens = True
    return library


def assert_same(tokenizer: Tokenizer, peer: tokenizers.Tokenizer, some_texts: Sequence[str]) -> None:
    expected = peer.encode_batch(list(some_texts), add_special_tokens=False)
    found = tokenizer.encode_batch(some_texts)
    with_offsets = tokenizer.encode_batch_with_offsets(some_texts)
    for text, ids, both, encoding in zip(some_texts, found, with_offsets, expected, strict=True):
        assert ids.dtype == both.ids.dtype == both.offsets.dtype == np.int32
        assert np.array_equal(ids, encoding.ids), text[:200]
        assert np.array_equal(both.ids, encoding.ids), text[:200]
        assert np.array_equal(both.offsets, np.array(encoding.offsets).reshape(-1, 2)), text[:200]


def test_every_tokenizer_of_this_package_has_a_fast_engine(tokenizer: Tokenizer) -> None:
    assert fast_engine(tokenizer.definition) is not None


@given(texts)
@example("a  b   c\n\n  d \n")
@example("it's It'S  's 'ſ don''t")
@example("[MASK] <s> </s> <pad> [UNK] ##ing")
@example("\u0301a \u0301 ¨b")
@example("a\x0bb a\x85b a\u2028b")
@example("\u0345\u0898\u0301")
def test_ids_and_offsets_of_any_text_are_those_of_tokenizers(
    tokenizer: Tokenizer, peer: tokenizers.Tokenizer, text: str
) -> None:
    assert_same(tokenizer, peer, [text])


def test_ids_and_offsets_of_hard_texts_are_those_of_tokenizers(
    tokenizer: Tokenizer, peer: tokenizers.Tokenizer, hard_texts: list[str]
) -> None:
    assert_same(tokenizer, peer, hard_texts)
    assert_same(tokenizer, peer, [text * 3 for text in reversed(hard_texts)])  # with words remembered


def test_characters_of_all_planes_are_encoded_as_tokenizers_does(
    tokenizer: Tokenizer, peer: tokenizers.Tokenizer
) -> None:
    blocks = [SOME_CHARACTERS[start : start + 64] for start in range(0, len(SOME_CHARACTERS), 64)]
    assert_same(tokenizer, peer, [" ".join(f"a{c}{c}b" for c in block) for block in blocks])


@pytest.mark.parametrize("text", ["xyz" * 333_333, "é火" * 20_000, "a" + " " * 200_000 + "b", "\n" * 50_000])
def test_a_megabyte_without_a_space_and_long_white_space_are_encoded_as_tokenizers_does(
    tokenizer: Tokenizer, peer: tokenizers.Tokenizer, text: str
) -> None:
    ids = tokenizer.encode_batch([text, "after"])
    expected = peer.encode_batch([text, "after"], add_special_tokens=False)
    assert all(np.array_equal(own, encoding.ids) for own, encoding in zip(ids, expected, strict=True))


@pytest.mark.parametrize(
    "kind",
    [r"\s", r"\p{L}", r"\p{M}", r"\p{N}", r"[\p{Han}\p{Hiragana}\p{Katakana}]", "[!-/:-@\\[-`{-~]"],
)
def test_polars_and_tokenizers_agree_which_characters_are_of_a_kind(kind: str) -> None:
    characters = EVERY_CHARACTER[1:]
    ours = pl.Series(characters).str.contains(rf"\A{kind}\z").to_list()
    marked = normalizers.Replace(Regex(kind), "\0")
    blocks = ["".join(characters[start : start + 4096]) for start in range(0, len(characters), 4096)]
    theirs = [character == "\0" for block in blocks for character in marked.normalize_str(block)]
    assert [c for c, a, b in zip(characters, ours, theirs, strict=True) if a != b] == []


def test_letters_after_an_apostrophe_are_contractions_for_both() -> None:
    pairs = [f"'{first}{second}" for first in "sRvſ" for second in SOME_CHARACTERS]
    cut = byte_level.prepare(models.BPE(), "gpt4").pre_tokenizer
    found = byte_level.words(pl.Series([f"x{pair}" for pair in pairs]), "gpt4")
    expected = [[f"x{pair}"[a:b] for _, (a, b) in cut.pre_tokenize_str(f"x{pair}")] for pair in pairs]
    same = found.flat.to_list() == [word for words in expected for word in words]
    assert same  # pytest would take minutes to compare the lists


@given(st.lists(crafted, min_size=1, max_size=5), st.sampled_from(["gpt2", "gpt4"]))
def test_byte_level_words_are_those_of_the_pre_tokenizer(
    some_texts: list[str], pattern: byte_level.Pattern
) -> None:
    cut = byte_level.prepare(models.BPE(), pattern).pre_tokenizer
    found = byte_level.words(pl.Series(some_texts), pattern)
    expected = [[text[start:end] for _, (start, end) in cut.pre_tokenize_str(text)] for text in some_texts]
    assert found.flat.to_list() == [word for words in expected for word in words]
    assert found.numbers.tolist() == [len(words) for words in expected]


@given(st.lists(texts, min_size=1, max_size=5))
@example([chr(0x0898) + "\u0301", "a\u0898\u0301", "\u3164 \u1680x"])
def test_sentencepiece_words_are_those_of_normalizer_and_pre_tokenizer(some_texts: list[str]) -> None:
    engine = sentencepiece_style.prepare(models.BPE())
    found = sentencepiece_style.written(sentencepiece_style.words(pl.Series(some_texts)).flat).to_list()
    expected = [
        word
        for text in some_texts
        for word, _ in engine.pre_tokenizer.pre_tokenize_str(engine.normalizer.normalize_str(text))
    ]
    assert found == expected


def test_every_character_of_unicode_is_normalised_as_tokenizers_does() -> None:
    engine = sentencepiece_style.prepare(models.BPE())
    blocks = [
        " ".join(f"a{c}\u0323\u0301{c}" for c in EVERY_CHARACTER[i : i + 1024])
        for i in range(0, len(EVERY_CHARACTER), 1024)
    ]
    found = sentencepiece_style.words(pl.Series(blocks))
    ours = sentencepiece_style.written(found.flat)
    start = 0
    for block, number in zip(blocks, found.numbers, strict=True):
        normalised = engine.normalizer.normalize_str(block)
        same = "".join(ours[start : start + number]) == "▁" + normalised.replace(" ", "▁")
        assert same, block[:20]
        start += number


@given(texts, st.booleans(), st.booleans())
def test_the_words_of_bert_lie_inside_the_pieces_that_are_cut_first(
    text: str, cased: bool, accents: bool
) -> None:
    engine = bert_style.prepare(models.WordPiece(), cased=cased, accents=accents)

    def words(part: str) -> list[str]:
        return [
            word for word, _ in engine.pre_tokenizer.pre_tokenize_str(engine.normalizer.normalize_str(part))
        ]

    pieces = bert_style.spaced_words(pl.Series([text])).flat.to_list()
    assert "".join(pieces) == text
    assert [word for piece in pieces for word in words(piece)] == words(text)


def test_what_is_remembered_is_bounded(
    train: Train, hard_texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_CHARACTERS_REMEMBERED", 50)
    monkeypatch.setattr(engines, "_CHARACTERS_AT_ONCE", 100)
    tokenizer = train("byte_bpe", vocabulary_size=300)
    engine = fast_engine(tokenizer.definition)
    assert engine is not None
    for _ in range(3):
        found = engine.encode(hard_texts)
        assert [tokenizer.decode(ids) for ids in found] == hard_texts
        engine.encode(["of few words"])
        assert engine._remembered < 100


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "Lowercase"}},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"pre_tokenizer": None},
    ],
)
def test_a_tokenizer_that_prepares_text_otherwise_is_left_to_the_library(
    train: Train, change: dict[str, Any], hard_texts: list[str]
) -> None:
    trained = train("wordpiece", vocabulary_size=300)
    definition = json.dumps(json.loads(trained.definition) | change)
    assert fast_engine(definition) is None
    other = Tokenizer(definition, trained.plugin, trained.config, trained.special_tokens)
    library = tokenizers.Tokenizer.from_str(definition)
    library.encode_special_tokens = True
    assert_same(other, library, hard_texts)


def test_merges_at_random_are_left_to_the_library(train: Train) -> None:
    content = json.loads(train("bpe", vocabulary_size=300).definition)
    content["model"]["dropout"] = 0.1
    assert fast_engine(json.dumps(content)) is None
