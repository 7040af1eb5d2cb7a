"""What this project does around a Kedro run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from pydantic import BaseModel

_KEY = "checkpoint_directory"
RESUMABLE = "resumable"
"""The tag of nodes that write checkpoints. Others may read the same parameters, and clear nothing."""


class CheckpointHooks:
    """Removes the checkpoints of a training or an ingestion when a run is over, and so its result is written.

    A run that is killed or fails, even after its training, leaves them to the next one.
    """

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        inputs = {name for node in pipeline.nodes if RESUMABLE in node.tags for name in node.inputs}
        names = sorted(name for name in inputs if name.startswith("params:"))
        directories = {path for name in names for path in _checkpoint_directories(catalog.load(name))}
        existing = [path for path in sorted(directories) if path.is_dir()]
        if existing:
            from prolepsis.text.corpus.workspace import clear_workspace

            for path in existing:
                clear_workspace(path)
        if any(path.is_dir() for path in existing):
            from prolepsis.training.checkpoint import clear_checkpoints

            for path in existing:
                clear_checkpoints(path)


def _checkpoint_directories(value: Any) -> Iterator[Path]:
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, dict):
        for key, entry in value.items():
            if key == _KEY:
                if entry is not None:
                    yield Path(entry)
            else:
                yield from _checkpoint_directories(entry)
