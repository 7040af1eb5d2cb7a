"""Checkpoints go when what was trained is written, and only then."""

from pathlib import Path

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from pydantic import BaseModel

from prolepsis.hooks import RESUMABLE, CheckpointHooks


class Training(BaseModel):
    checkpoint_directory: Path


class Parameters(BaseModel):
    training: Training


@pytest.mark.parametrize("typed", [True, False])
def test_a_finished_run_removes_the_checkpoints_of_its_own_parameters(tmp_path: Path, typed: bool):
    own, other = tmp_path / "own", tmp_path / "other"
    for folder in (own, other):
        folder.mkdir()
        (folder / "step-0000000001.safetensors").write_bytes(b"x")
        (folder / "curves.jsonl").write_text("{}\n")
    values = {"training": {"checkpoint_directory": str(own)}}
    catalog = DataCatalog(
        {
            "params:bert": MemoryDataset(Parameters.model_validate(values) if typed else values),
            "params:word2vec": MemoryDataset({"training": {"checkpoint_directory": str(other)}}),
        }
    )
    pipeline = Pipeline(
        [Node(lambda parameters: parameters, "params:bert", "bert_model", name="pretrain", tags=RESUMABLE)]
    )
    CheckpointHooks().after_pipeline_run(pipeline, catalog)
    assert not own.exists()
    assert len(list(other.iterdir())) == 2


def test_a_finished_run_removes_the_shards_of_its_ingestion_and_nothing_else(tmp_path: Path):
    own, other = tmp_path / "own", tmp_path / "other"
    for folder in (own, other):
        (folder / "corpus-0123456789abcdef" / "read").mkdir(parents=True)
    (other / "thesis.tex").write_text("mine")
    values = {"own": {"checkpoint_directory": str(own)}, "other": {"checkpoint_directory": str(other)}}
    pipeline = Pipeline(
        [
            Node(
                lambda a, b, c: a,
                ["params:own", "params:other", "params:none"],
                "documents",
                name="ingest",
                tags=RESUMABLE,
            )
        ]
    )
    catalog = DataCatalog(
        {f"params:{name}": MemoryDataset(value) for name, value in values.items()}
        | {"params:none": MemoryDataset({"checkpoint_directory": None})}
    )
    CheckpointHooks().after_pipeline_run(pipeline, catalog)
    assert not own.exists()
    assert [path.name for path in other.iterdir()] == ["thesis.tex"]


def test_a_node_that_only_reads_the_parameters_of_a_training_leaves_its_checkpoints(tmp_path: Path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "step-0000000001.safetensors").write_bytes(b"x")
    catalog = DataCatalog({"params:own": MemoryDataset({"checkpoint_directory": str(tmp_path / "own")})})
    pipeline = Pipeline([Node(lambda parameters: parameters, "params:own", "neighbours", name="find")])
    CheckpointHooks().after_pipeline_run(pipeline, catalog)
    assert len(list((tmp_path / "own").iterdir())) == 1
