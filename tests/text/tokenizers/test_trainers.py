import json
import unicodedata
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import tokenizers as library
from tokenizers import models, pre_tokenizers, trainers

from prolepsis import plugins
from prolepsis.errors import ProlepsisError
from prolepsis.text.tokenizers import Tokenizer, words
from prolepsis.text.tokenizers.trainer import WordTrainer

Train = Callable[..., Tokenizer]
NAMES = ["bpe", "byte_bpe", "unigram", "word_level", "wordpiece"]


def trainer_of(name: str, **config: Any) -> WordTrainer:
    group = "prolepsis.tokenizers"
    trainer: WordTrainer = plugins.load(group, name)(plugins.configure(group, name, config))
    return trainer


def kind(character: str) -> str:
    return unicodedata.category(character)[0].replace("M", "L")


@pytest.fixture(scope="module")
def real_texts(shared_data: Path) -> list[str]:
    frames = [
        pl.read_parquet(shared_data / f"text/wikipedia_vital_{lang}.parquet") for lang in ("en", "fr", "es")
    ]
    return [text for frame in frames for text in frame["text"].head(60)]


@pytest.mark.parametrize("name", NAMES)
def test_training_twice_gives_the_same_tokenizer(train: Train, real_texts: list[str], name: str) -> None:
    # Enough characters and ties to tell: the library's own WordPiece and unigram vocabularies differ here.
    first = train(name, [real_texts], vocabulary_size=1_500)
    second = train(name, [real_texts], vocabulary_size=1_500)
    assert first.definition == second.definition


@pytest.mark.parametrize("name", NAMES)
def test_the_way_texts_are_batched_does_not_matter(train: Train, sentences: list[str], name: str) -> None:
    whole = train(name, [sentences * 3], vocabulary_size=350)
    parts = train(name, [[text] for text in sentences * 3], vocabulary_size=350)
    assert whole.hash == parts.hash


@pytest.mark.parametrize("pattern", ["gpt2", "gpt4"])
def test_byte_bpe_learns_the_merges_that_tokenizers_learns(
    train: Train, real_texts: list[str], pattern: str
) -> None:
    trained = train("byte_bpe", [real_texts], vocabulary_size=3_000, pattern=pattern)
    peer = library.Tokenizer.from_str(trained.definition)
    peer.model = models.BPE()
    peer.train_from_iterator(
        real_texts,
        trainers.BpeTrainer(
            vocab_size=3_000,
            min_frequency=2,
            special_tokens=list(trained.special_tokens.values()),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    ours, theirs = (json.loads(definition)["model"] for definition in (trained.definition, peer.to_str()))
    assert ours["merges"] == theirs["merges"]
    assert ours["vocab"] == theirs["vocab"]


@pytest.mark.parametrize("name", NAMES)
def test_one_count_gives_every_vocabulary_as_if_it_were_trained_alone(
    train: Train, real_texts: list[str], name: str
) -> None:
    trainer = trainer_of(name)
    small, large = trainer.train_many(trainer.count([real_texts]), [1_000, 1_800])
    assert small == train(name, [real_texts], vocabulary_size=1_000)
    assert large == train(name, [real_texts], vocabulary_size=1_800)


@pytest.mark.parametrize("name", ["bpe", "byte_bpe", "word_level", "wordpiece"])
def test_a_smaller_vocabulary_is_the_beginning_of_a_larger_one(real_texts: list[str], name: str) -> None:
    trainer = trainer_of(name)
    small, large = trainer.train_many(trainer.count([real_texts]), [1_000, 1_800])
    assert small.profile().equals(large.profile().head(1_000))


def test_words_are_counted_over_batches_and_very_long_ones_left_out() -> None:
    trainer = trainer_of("byte_bpe")
    counts = trainer.count([["low low lower", "x" * 1_001], ["low"]])
    assert counts.schema == pl.Schema({"word": pl.String, "count": pl.Int64})
    assert counts.rows() == [("low", 2), (" low", 1), (" lower", 1)]


def test_many_batches_are_summed_up_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_PENDING_ROWS", 3)
    counts = trainer_of("wordpiece").count([["a b c"], ["a b d"], ["a e f"], ["a"]])
    assert dict(counts.rows()) == {"a": 4, "b": 2, "c": 1, "d": 1, "e": 1, "f": 1}


def test_a_unigram_piece_never_spans_letters_digits_and_signs(train: Train, real_texts: list[str]) -> None:
    tokenizer = train("unigram", [real_texts], vocabulary_size=2_000)
    pieces = [str(tokenizer.id_to_token(number)) for number in range(5, tokenizer.vocabulary_size)]
    mixed = [piece for piece in pieces if len(set(map(kind, piece.removeprefix("▁")))) > 1]
    assert mixed == []
    assert "▁the" in pieces


def test_unigram_needs_about_as_few_tokens_as_bpe(train: Train, real_texts: list[str]) -> None:
    # Words that nothing else begins with get no piece if sentencepiece is given words without their signs:
    # then it takes 8 % more here, not 3 %.
    numbers = {
        name: sum(map(len, train(name, [real_texts], vocabulary_size=2_000).encode_batch(real_texts)))
        for name in ("unigram", "bpe")
    }
    assert numbers["unigram"] < 1.06 * numbers["bpe"]


@pytest.mark.parametrize("name", ["unigram", "word_level", "wordpiece"])
def test_a_special_token_that_is_a_word_is_refused(train: Train, name: str) -> None:
    parts = {"pad": "[PAD]", "unk": "[UNK]", "mask": "the"}
    with pytest.raises(ProlepsisError, match="cannot be told from"):
        train(name, [["the train the train the train"] * 9], vocabulary_size=60, special_tokens=parts)


def test_special_tokens_have_the_first_ids_in_order(tokenizer: Tokenizer) -> None:
    tokens = [tokenizer.id_to_token(i) for i in range(len(tokenizer.special_tokens))]
    assert tokens == list(tokenizer.special_tokens.values())
    assert tokenizer.special_ids == {part: i for i, part in enumerate(tokenizer.special_tokens)}


def test_every_id_has_a_token_and_the_vocabulary_is_as_large_as_asked(tokenizer: Tokenizer) -> None:
    tokens = [tokenizer.id_to_token(i) for i in range(tokenizer.vocabulary_size)]
    assert None not in tokens
    assert len(set(tokens)) == len(tokens) <= 400
    assert [tokenizer.token_to_id(str(token)) for token in tokens] == list(range(len(tokens)))
    assert tokenizer.id_to_token(tokenizer.vocabulary_size) is None


def test_wordpiece_has_the_special_tokens_of_bert(train: Train) -> None:
    tokenizer = train("wordpiece", vocabulary_size=300)
    assert tokenizer.profile()["token"].head(5).to_list() == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert tokenizer.profile()["special"].sum() == 5


@pytest.mark.parametrize("cased", [False, True])
def test_wordpiece_cuts_as_the_original_python_code_of_bert(
    train: Train, real_texts: list[str], hard_texts: list[str], cased: bool
) -> None:
    legacy: Any = import_module("transformers.models.bert.tokenization_bert_legacy")
    tokenizer = train("wordpiece", [real_texts], vocabulary_size=3_000, cased=cased)
    vocabulary = {str(tokenizer.id_to_token(i)): i for i in range(tokenizer.vocabulary_size)}
    basic = legacy.BasicTokenizer(do_lower_case=not cased)
    pieces = legacy.WordpieceTokenizer(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100)
    # The Python code composes characters, as the corpus does when it is read, and drops code points that
    # Unicode has not assigned (the last text); the library keeps those, as one unknown word.
    texts = [unicodedata.normalize("NFC", text) for text in real_texts[::10] + hard_texts[:-1]]
    for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
        expected = [piece for word in basic.tokenize(text) for piece in pieces.tokenize(word)]
        assert [tokenizer.id_to_token(int(i)) for i in ids] == expected, text


def test_uncased_wordpiece_drops_case_and_accents_and_cased_keeps_them(train: Train) -> None:
    texts = [["Élève élève ÉLÈVE"] * 9]
    uncased = train("wordpiece", texts, vocabulary_size=60)
    cased = train("wordpiece", texts, vocabulary_size=60, cased=True)
    assert uncased.decode(uncased.encode_batch(["ÉLÈVE élève"])[0]) == "eleve eleve"
    assert cased.decode(cased.encode_batch(["ÉLÈVE élève"])[0]) == "ÉLÈVE élève"


def test_wordpiece_splits_chinese_into_characters(train: Train) -> None:
    tokenizer = train("wordpiece", vocabulary_size=400)
    words = tokenizer.words()
    assert [words[i] for i in tokenizer.encode_batch(["火车站"])[0]] == ["火", "车", "站"]
    assert "##火" not in words  # a character that never continues a word needs no such id


@pytest.mark.parametrize("cased", [False, True])
def test_word_level_takes_the_words_that_tokenizers_takes(
    train: Train, real_texts: list[str], cased: bool
) -> None:
    trained = train("word_level", [real_texts], vocabulary_size=1_500, cased=cased, min_frequency=3)
    peer = library.Tokenizer.from_str(trained.definition)
    peer.model = models.WordLevel(unk_token="[UNK]")
    peer.train_from_iterator(
        real_texts,
        trainers.WordLevelTrainer(
            vocab_size=1_500,
            min_frequency=3,
            special_tokens=list(trained.special_tokens.values()),
            show_progress=False,
        ),
    )
    ours, theirs = (json.loads(definition)["model"] for definition in (trained.definition, peer.to_str()))
    assert ours["vocab"] == theirs["vocab"]


def test_word_level_ends_at_the_rarest_word_allowed_and_orders_ties_by_code_point(train: Train) -> None:
    texts = [["zebra ant ant zebra yak élan yak élan", "yak once"]]
    tokenizer = train("word_level", texts, vocabulary_size=100)
    assert tokenizer.words()[5:] == ["yak", "ant", "zebra", "élan"]
    small = train("word_level", texts, vocabulary_size=7)
    assert small.words()[5:] == ["yak", "ant"]
    assert small.encode_batch(["yak zebra once yaks"])[0].tolist() == [5, *[small.unk_id] * 3]


def test_word_level_without_a_frequent_word_says_so(train: Train) -> None:
    with pytest.raises(ProlepsisError, match="No word occurs 3 times") as caught:
        train("word_level", [["each word only once"]], min_frequency=3)
    assert caught.value.where == "min_frequency" and "Lower" in (caught.value.remedy or "")


def test_word_level_keeps_accents_and_only_if_cased_upper_case(train: Train) -> None:
    texts = [["Río río RÍO rio"] * 9]
    uncased, cased = (train("word_level", texts, cased=cased) for cased in (False, True))
    assert uncased.words()[5:] == ["río", "rio"]
    assert uncased.decode(uncased.encode_batch(["RÍO, rio"])[0]) == "río [UNK] rio"
    assert cased.words()[5:] == ["RÍO", "Río", "rio", "río"]


def test_a_word_that_is_written_like_the_unknown_token_has_its_id(train: Train) -> None:
    parts = {"pad": "[PAD]", "unk": "unk"}
    tokenizer = train("word_level", [["unk unk word word"]], special_tokens=parts)
    assert tokenizer.words() == ["[PAD]", "unk", "word"]
    assert tokenizer.encode_batch(["unk word"])[0].tolist() == [1, 2]


@pytest.mark.parametrize(("name", "max_characters"), [("bpe", 4), ("unigram", 4), ("wordpiece", 3)])
def test_characters_beyond_the_most_frequent_are_unknown(
    train: Train, name: str, max_characters: int
) -> None:
    texts = [["aaa bbb aaa bbb"] * 20 + ["ccc"] * 10 + ["ß"]]
    # Of a, b, c, ß and, but for WordPiece, which never sees it, the space.
    tokenizer = train(name, texts, vocabulary_size=40, max_characters=max_characters)
    known, unknown = tokenizer.encode_batch(["aaa ccc", "ß"])
    assert tokenizer.unk_id not in known
    assert tokenizer.unk_id in unknown


def test_gpt4_cuts_digits_by_three_and_gpt2_does_not(train: Train) -> None:
    texts = [["1234567 1234567 1234567"] * 50]
    gpt4 = train("byte_bpe", texts, vocabulary_size=280, pattern="gpt4")
    gpt2 = train("byte_bpe", texts, vocabulary_size=280, pattern="gpt2")
    assert [gpt4.decode([i]) for i in gpt4.encode_batch(["1234567"])[0]] == ["123", "456", "7"]
    assert [gpt2.decode([i]) for i in gpt2.encode_batch([" 1234567"])[0]] == [" 1234567"]


def test_a_space_belongs_to_the_byte_level_word_after_it(train: Train) -> None:
    tokenizer = train("byte_bpe", [["Hello World Hello World"] * 20], vocabulary_size=300)
    pieces = [
        [tokenizer.decode([i]) for i in ids] for ids in tokenizer.encode_batch(["Hello World", " Hello"])
    ]
    assert pieces == [["Hello", " World"], [" Hello"]]


def test_a_chinese_character_takes_two_or_three_ids_of_an_english_byte_vocabulary(
    train: Train, shared_data: Path
) -> None:
    english = pl.read_parquet(shared_data / "text/wikipedia_vital_en.parquet")["text"].head(500).to_list()
    tokenizer = train("byte_bpe", [english], vocabulary_size=4_000)
    sentence = "机器学习是人工智能的一个分支"
    assert 2 <= len(tokenizer.encode_batch([sentence])[0]) / len(sentence) <= 3


def test_without_any_chinese_in_its_training_a_chinese_character_is_three_bytes(
    train: Train, sentences: list[str]
) -> None:
    tokenizer = train("byte_bpe", [[sentences[0]] * 20], vocabulary_size=400)
    sentence = "机器学习是人工智能"
    ids = tokenizer.encode_batch([sentence])[0]
    assert len(ids) == 3 * len(sentence)
    assert tokenizer.decode(ids) == sentence


@pytest.mark.parametrize("name", ["bpe", "unigram", "word_level", "wordpiece"])
def test_no_text_is_refused(train: Train, name: str) -> None:
    with pytest.raises(ProlepsisError, match="no text"):
        train(name, [[], [""]], vocabulary_size=300)


@pytest.mark.parametrize("name", ["bpe", "unigram", "wordpiece"])
def test_a_vocabulary_smaller_than_the_alphabet_is_refused(train: Train, name: str) -> None:
    with pytest.raises(ProlepsisError, match="does not even hold|not large enough"):
        train(name, vocabulary_size=20)


@pytest.mark.parametrize(
    ("name", "config", "key"),
    [
        ("byte_bpe", {"vocabulary_size": 256}, "vocabulary_size"),
        ("byte_bpe", {"pattern": "gpt5"}, "pattern"),
        ("wordpiece", {"special_tokens": {"pad": "[PAD]"}}, "unk"),
        ("word_level", {"special_tokens": {"pad": "[PAD]"}}, "unk"),
        ("word_level", {"min_frequency": 0}, "min_frequency"),
        ("word_level", {"vocabulary_size": 5}, "vocabulary_size"),
        ("wordpiece", {"special_tokens": {"pad": "[X]", "unk": "[X]"}}, "differ"),
        ("unigram", {"special_tokens": {"boss": "[X]"}}, "boss"),
        ("bpe", {"vocab_size": 10}, "vocab_size"),
    ],
)
def test_a_wrong_configuration_names_its_key(
    train: Train, name: str, config: dict[str, object], key: str
) -> None:
    with pytest.raises(ProlepsisError, match=key):
        train(name, **config)
