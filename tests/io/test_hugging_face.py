import json
from pathlib import Path

import pytest
import torch
import yaml
from kedro.io import AbstractDataset, DatasetError

from prolepsis.io import HuggingFaceModelDataset
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.heads import BertForPretraining
from prolepsis.text.bert.hugging_face import PretrainedBert
from prolepsis.text.tokenizers.wordpiece import WordPieceTrainer

SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}


@pytest.fixture
def bert() -> PretrainedBert:
    tokenizer = WordPieceTrainer(WordPieceTrainer.Config(vocabulary_size=60)).train([["a few words of text"]])
    config = BertConfig(vocab_size=tokenizer.vocabulary_size, **SIZES)
    return PretrainedBert.of(BertForPretraining(config), tokenizer, {"steps": 1})


def test_a_saved_model_loads_and_its_configuration_is_the_preview(
    tmp_path: Path, bert: PretrainedBert
) -> None:
    dataset = HuggingFaceModelDataset(filepath=str(tmp_path / "models" / "bert"))
    assert not dataset.exists()
    dataset.save(bert)
    assert dataset.exists()
    loaded = dataset.load()
    assert loaded.tokenizer == bert.tokenizer
    assert loaded.metadata == {"steps": 1}
    assert loaded.weights.keys() == bert.weights.keys()
    for name, tensor in bert.weights.items():
        assert torch.equal(tensor, loaded.weights[name]), name
    assert json.loads(dataset.preview())["hidden_size"] == 8


def test_the_catalog_entry_of_the_docstring_makes_the_dataset() -> None:
    entry = (HuggingFaceModelDataset.__doc__ or "").split("```yaml")[1].split("```")[0]
    ((name, config),) = yaml.safe_load(entry).items()
    dataset = AbstractDataset.from_config(name, config)
    assert isinstance(dataset, HuggingFaceModelDataset)
    assert dataset._describe() == {"filepath": "data/06_models/bert", "format": "safetensors"}


def test_a_missing_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        HuggingFaceModelDataset(filepath=str(tmp_path / "nowhere")).load()
