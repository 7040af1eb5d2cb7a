import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prolepsis.errors import ProlepsisError
from prolepsis.text.tokenizers import Tokenizer

Train = Callable[..., Tokenizer]


def test_transformers_gives_the_same_ids(tokenizer: Tokenizer, hard_texts: list[str], tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer.save(tmp_path / "tokenizer")
    peer = PreTrainedTokenizerFast.from_pretrained(tmp_path / "tokenizer", split_special_tokens=True)
    assert len(peer) == tokenizer.vocabulary_size
    expected = peer(hard_texts, add_special_tokens=False)["input_ids"]
    assert [ids.tolist() for ids in tokenizer.encode_batch(hard_texts)] == expected
    for part, token_id in tokenizer.special_ids.items():
        assert getattr(peer, f"{part}_token_id") == token_id


def test_auto_tokenizer_loads_the_folder_and_frames_a_pair_as_bert_does(train: Train, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = train("wordpiece", vocabulary_size=400)
    tokenizer.save(tmp_path / "tokenizer")
    peer = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    framed = peer("the train", "leaves")
    ours = [tokenizer.encode_batch([text])[0].tolist() for text in ("the train", "leaves")]
    cls, sep = tokenizer.cls_id, tokenizer.sep_id
    assert framed["input_ids"] == [cls, *ours[0], sep, *ours[1], sep]
    assert framed["token_type_ids"] == [0] * (len(ours[0]) + 2) + [1] * (len(ours[1]) + 1)


def test_tokenizers_gives_the_same_ids_from_the_file(
    tokenizer: Tokenizer, hard_texts: list[str], tmp_path: Path
) -> None:
    import tokenizers

    tokenizer.save(tmp_path / "tokenizer")
    peer = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer" / "tokenizer.json"))
    plain = [text for text in hard_texts if "[MASK]" not in text]
    expected = [encoding.ids for encoding in peer.encode_batch(plain, add_special_tokens=False)]
    assert [ids.tolist() for ids in tokenizer.encode_batch(plain)] == expected


def test_a_text_encodes_alone_as_in_a_batch(tokenizer: Tokenizer, hard_texts: list[str]) -> None:
    for text, ids in zip(hard_texts, tokenizer.encode_batch(hard_texts), strict=True):
        assert ids.dtype == np.int32
        assert tokenizer.encode_batch([text])[0].tolist() == ids.tolist()
    assert tokenizer.encode_batch([]) == []


def test_a_text_that_looks_like_a_special_token_is_only_text(tokenizer: Tokenizer) -> None:
    special = set(tokenizer.special_ids.values()) - {tokenizer.unk_id}
    for token in tokenizer.special_tokens.values():
        assert not special & set(tokenizer.encode_batch([f"a {token} b"])[0].tolist())


def test_offsets_belong_to_the_same_ids_and_rise_through_the_text(
    tokenizer: Tokenizer, hard_texts: list[str]
) -> None:
    encodings = tokenizer.encode_batch_with_offsets(hard_texts)
    for text, ids, encoding in zip(hard_texts, tokenizer.encode_batch(hard_texts), encodings, strict=True):
        assert encoding.ids.tolist() == ids.tolist()
        assert encoding.offsets.shape == (len(ids), 2)
        assert (np.diff(encoding.offsets, axis=0) >= 0).all()
        assert ((encoding.offsets >= 0) & (encoding.offsets <= len(text))).all()


@pytest.fixture(scope="module", params=["gpt2", "gpt4"])
def byte_tokenizer(request: pytest.FixtureRequest, train: Train) -> Tokenizer:
    return train("byte_bpe", vocabulary_size=600, pattern=request.param)


@given(text=st.text(max_size=200))
@example(text="")
@example(text="<s></s><pad><mask>")
@example(text=" \r\n\t\x00\ufeff\u200d 👩‍👩‍👧 \U0010ffff")
def test_byte_bpe_gives_every_text_back(byte_tokenizer: Tokenizer, text: str) -> None:
    ids = byte_tokenizer.encode_batch([text])[0]
    assert byte_tokenizer.decode(ids) == text
    assert byte_tokenizer.decode_batch([ids, ids]) == [text, text]


def test_byte_bpe_gives_hard_texts_back(byte_tokenizer: Tokenizer, hard_texts: list[str]) -> None:
    assert byte_tokenizer.decode_batch(byte_tokenizer.encode_batch(hard_texts)) == hard_texts
    assert byte_tokenizer.unk_id is None


def test_words_name_beginnings_continuations_and_special_tokens(train: Train) -> None:
    texts = [["lower low lowest newest é"] * 20]
    for name, size in [("wordpiece", 60), ("byte_bpe", 300), ("bpe", 60), ("unigram", 40)]:
        tokenizer = train(name, texts, vocabulary_size=size)
        words = tokenizer.words()
        assert len(words) == tokenizer.vocabulary_size
        assert words[tokenizer.encode_batch(["newest low"])[0][-1]] == "low"
        assert words[: len(tokenizer.special_tokens)] == list(tokenizer.special_tokens.values())
        assert any(word.startswith("##") for word in words)
    whole = train("word_level", texts)
    assert whole.words()[len(whole.special_tokens) :] == ["low", "lower", "lowest", "newest", "é"]


def test_incomplete_characters_are_named_by_their_bytes(train: Train) -> None:
    tokenizer = train("byte_bpe", [["plain text"]], vocabulary_size=270)
    words = tokenizer.words()
    assert [words[i] for i in tokenizer.encode_batch(["火"])[0]] == ["##<E7>", "##<81>", "##<AB>"]


def test_a_saved_tokenizer_comes_back_the_same(
    tokenizer: Tokenizer, hard_texts: list[str], tmp_path: Path
) -> None:
    tokenizer.save(tmp_path / "tokenizer")
    loaded = Tokenizer.load(tmp_path / "tokenizer")
    assert loaded == tokenizer
    assert (
        loaded.hash == tokenizer.hash == json.loads((tmp_path / "tokenizer/config.json").read_text())["hash"]
    )
    for ours, theirs in zip(tokenizer.encode_batch(hard_texts), loaded.encode_batch(hard_texts), strict=True):
        assert np.array_equal(ours, theirs)


def test_another_training_has_another_hash(train: Train, sentences: list[str]) -> None:
    assert train("byte_bpe", vocabulary_size=300).hash != train("byte_bpe", vocabulary_size=301).hash


def test_the_profile_has_a_row_for_each_id(tokenizer: Tokenizer) -> None:
    profile = tokenizer.profile()
    assert profile["id"].to_list() == list(range(tokenizer.vocabulary_size))
    assert profile["special"].sum() == len(tokenizer.special_tokens)


def test_a_missing_tokenizer_says_how_to_train_it(tmp_path: Path) -> None:
    with pytest.raises(ProlepsisError, match="not been trained") as caught:
        Tokenizer.load(tmp_path)
    assert "kedro run --pipelines tokenization" in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("tokenizer.json", "{}", "cannot read"),
        ("tokenizer.json", "not json", "cannot read"),
        ("config.json", "not json", "not a tokenizer's configuration"),
        ("config.json", "[]", "not a tokenizer's configuration"),
        ("config.json", '{"plugin": "bpe", "config": {}, "special_tokens": {"pad": "[NO]"}}', "lacks"),
    ],
)
def test_a_damaged_tokenizer_is_refused(
    train: Train, tmp_path: Path, file: str, content: str, message: str
) -> None:
    train("byte_bpe", vocabulary_size=270).save(tmp_path / "tokenizer")
    (tmp_path / "tokenizer" / file).write_text(content)
    with pytest.raises(ProlepsisError, match=message) as caught:
        Tokenizer.load(tmp_path / "tokenizer")
    assert file in str(caught.value)
