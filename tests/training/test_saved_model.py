from pathlib import Path

import pytest
import torch
from torch import nn

from prolepsis.errors import ProlepsisError
from prolepsis.training.saved_model import SavedModel


def test_a_model_comes_back_with_its_metadata(tmp_path: Path) -> None:
    model = nn.LSTM(3, 4)
    SavedModel(model.state_dict(), {"config": {"hidden_size": 4}}).save(tmp_path / "model")
    loaded = SavedModel.load(tmp_path / "model")
    assert loaded.metadata == {"config": {"hidden_size": 4}}
    nn.LSTM(3, 4).load_state_dict(loaded.state)
    assert all(torch.equal(loaded.state[name], value) for name, value in model.state_dict().items())


def test_saving_replaces_the_folder_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "stale.bin").write_text("old")
    SavedModel({"x": torch.ones(1)}).save(tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"model.safetensors", "metadata.json"}


@pytest.mark.parametrize("damage", ["missing", "truncated", "no_metadata", "no_names"])
def test_a_folder_that_is_no_model_is_a_message(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "model"
    if damage != "missing":
        SavedModel({"x": torch.ones(9)}).save(folder)
    if damage == "truncated":
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-4])
    if damage == "no_metadata":
        (folder / "metadata.json").unlink()
    if damage == "no_names":
        (folder / "metadata.json").write_text("[]")
    with pytest.raises(ProlepsisError, match="not a saved model") as caught:
        SavedModel.load(folder)
    assert caught.value.where == folder


def test_the_profile_tells_which_tensor_is_not_finite() -> None:
    state = {"good": torch.ones(2, 3), "bad": torch.tensor([1.0, float("nan")]), "count": torch.tensor(3)}
    rows = SavedModel(state).profile().rows()
    assert rows == [("good", "float32", 6, True), ("bad", "float32", 2, False), ("count", "int64", 1, True)]
