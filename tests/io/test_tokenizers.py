from pathlib import Path

import numpy as np
import pytest

from prolepsis import io
from prolepsis.errors import ProlepsisError
from prolepsis.text.token_shards import TokenizedDocuments, TokenizedPart, TokenStream
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.tokenizers.wordpiece import WordPieceTrainer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    trainer = WordPieceTrainer(WordPieceTrainer.Config(vocabulary_size=60))
    return trainer.train([["the train leaves the station"] * 20])


def stream() -> TokenStream:
    documents = TokenizedDocuments("train", ["a"], ["en"], [np.array([1, 2])], [np.array([0])])
    return TokenStream(
        [TokenizedPart("", lambda: [documents])],
        vocabulary_size=60,
        tokenizer_hash="0123",
        special_ids={"pad": 0},
    )


def test_a_tokenizer_is_saved_loaded_and_previewed(tmp_path: Path, tokenizer: Tokenizer) -> None:
    dataset = io.TokenizerDataset(filepath=str(tmp_path / "tokenizer"))
    assert not dataset.exists()
    dataset.save(tokenizer)
    assert dataset.exists()
    assert dataset.load() == tokenizer
    preview = dataset.preview()
    assert preview["columns"] == ["id", "token"]
    shown = [token for _, token in preview["data"]]
    assert {"train", "station"} <= set(shown)
    assert not {"[MASK]", "t", "##t"} & set(shown)
    assert all(tokenizer.token_to_id(token) == token_id for token_id, token in preview["data"])


def test_token_shards_are_saved_loaded_and_previewed(tmp_path: Path) -> None:
    dataset = io.TokenShardsDataset(filepath=str(tmp_path / "tokens"))
    dataset.save(stream())
    assert dataset.load().split("train").document(0).tolist() == [1, 2]
    preview = dataset.preview()
    assert preview["columns"][:3] == ["split", "shard", "num_documents"]
    assert preview["data"] == [["train", "train-00000", 1, 2, 1, 2, 60]]


@pytest.mark.parametrize("name", ["TokenizerDataset", "TokenShardsDataset"])
def test_what_was_not_made_is_explained(tmp_path: Path, name: str) -> None:
    dataset = getattr(io, name)(filepath=str(tmp_path / "nothing"))
    with pytest.raises(Exception, match="kedro run --pipelines tokenization") as caught:
        dataset.load()
    assert isinstance(caught.value.__cause__ or caught.value, ProlepsisError)
