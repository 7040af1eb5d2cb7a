import unicodedata
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.text.tokenizers import Tokenizer

Train = Callable[..., Tokenizer]
NAMES = ["bpe", "byte_bpe", "unigram", "wordpiece"]


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
    from transformers.models.bert.tokenization_bert_legacy import BasicTokenizer, WordpieceTokenizer

    tokenizer = train("wordpiece", [real_texts], vocabulary_size=3_000, cased=cased)
    vocabulary = {str(tokenizer.id_to_token(i)): i for i in range(tokenizer.vocabulary_size)}
    basic = BasicTokenizer(do_lower_case=not cased)
    pieces = WordpieceTokenizer(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100)
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


@pytest.mark.parametrize("name", ["bpe", "unigram", "wordpiece"])
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
