from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from prolepsis.training.checkpoint import CheckpointStore, clear_checkpoints

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(state=st.dictionaries(st.text(), JSON, max_size=4), step=st.integers(0, 10**9))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_checkpoint_comes_back_unchanged(tmp_path: Path, state: dict, step: int) -> None:
    store = CheckpointStore(tmp_path / "run", "a")
    tensors = {"x": torch.randn(3, 2), "count": torch.tensor(7), "half": torch.ones(2, dtype=torch.bfloat16)}
    store.save(step, tensors, state)
    checkpoint = store.latest()
    clear_checkpoints(tmp_path / "run")
    assert (checkpoint.step, checkpoint.state) == (step, state)
    assert checkpoint.tensors.keys() == tensors.keys()
    assert all(torch.equal(checkpoint.tensors[name], tensors[name]) for name in tensors)
    assert not (tmp_path / "run").exists()


def test_only_the_last_checkpoint_is_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, "a")
    for step in (2, 10, 11):
        store.save(step, {"x": torch.tensor(step)}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["step-0000000011.safetensors"]
    assert store.latest().step == 11


def test_there_is_no_checkpoint_at_first(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path / "nowhere", "a").latest() is None


def test_a_checkpoint_of_another_fingerprint_is_ignored_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    CheckpointStore(tmp_path, "a").save(1, {"x": torch.ones(1)}, {})
    assert CheckpointStore(tmp_path, "b").latest() is None
    assert "other data or parameters" in caplog.text


@pytest.mark.parametrize("keep", [0, 5, 60, -1])
def test_a_half_written_checkpoint_is_ignored_and_the_one_before_it_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, keep: int
) -> None:
    store = CheckpointStore(tmp_path, "a")
    store.save(1, {"x": torch.ones(50)}, {"mark": 1})
    whole = (tmp_path / "step-0000000001.safetensors").read_bytes()
    (tmp_path / "step-0000000002.safetensors").write_bytes(whole[:keep])
    assert store.latest().state == {"mark": 1}
    assert "cannot be read" in caplog.text


def test_a_safetensors_file_of_someone_else_is_ignored(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.ones(1)}, tmp_path / "step-0000000009.safetensors")
    assert CheckpointStore(tmp_path, "a").latest() is None


def test_clearing_leaves_other_files_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    store = CheckpointStore(tmp_path, "a")
    store.save(1, {}, {})
    clear_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_tied_and_strided_tensors_are_stored_as_equal_copies(tmp_path: Path) -> None:
    weight = nn.Parameter(torch.randn(4, 3))
    store = CheckpointStore(tmp_path, "a")
    store.save(1, {"a": weight, "b": weight, "transposed": weight.T}, {})
    tensors = store.latest().tensors
    assert torch.equal(tensors["a"], weight) and torch.equal(tensors["b"], weight)
    assert torch.equal(tensors["transposed"], weight.T)
