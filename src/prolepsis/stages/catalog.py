"""What a catalog entry says about the file behind a dataset."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kedro.validation import ValidatorSpec, resolve_validator
from pydantic import BaseModel, ConfigDict, ValidationError

from prolepsis.errors import ProlepsisError
from prolepsis.plugins import describe_validation_error
from prolepsis.stages.graph import Output
from prolepsis.stages.project import KedroProject

_PATH_KEYS = ("filepath", "path")


class DvcOptions(BaseModel):
    """The part of a catalog entry that is for DVC: `metadata: {dvc: {kind: plot, x: step, y: loss}}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["out", "metric", "plot"] = "out"
    x: str | None = None
    y: str | tuple[str, ...] | None = None
    title: str | None = None
    template: str | None = None


@dataclass(frozen=True)
class DatasetFile:
    """A dataset as stages see it.

    `path` is relative to the project, or as written where it lies outside; None without a file.
    """

    name: str
    type: str
    path: str | None
    dvc: DvcOptions
    validator: ValidatorSpec | None

    @property
    def is_memory(self) -> bool:
        return self.type.rpartition(".")[2] in ("MemoryDataset", "SharedMemoryDataset")

    @property
    def results_path(self) -> str | None:
        """Where the validator writes its results, as written in its options."""
        if self.validator is None or not self.validator.enabled:
            return None
        path: str | None = self.validator.options.get("results_path")
        return path

    def output(self) -> Output:
        if self.path is None:
            raise ValueError(f"{self.name} has no file")
        return Output(self.path, self.name, **self.dvc.model_dump())

    def validator_files(self, project: KedroProject) -> list[str]:
        """The files inside the project that the validator reads, if it can tell.

        A validator tells by a method `files_read(project_path, env) -> list[Path]`.
        """
        if self.validator is None or not self.validator.enabled:
            return []
        tell = getattr(resolve_validator(self.validator), "files_read", None)
        read: list[Path] = tell(project.path, project.env) if tell else []
        return [path for file in read if (path := project.relative(file)) is not None]


def dataset_file(project: KedroProject, name: str) -> DatasetFile:
    """Reads the catalog entry of a dataset.

    Raises:
        ProlepsisError: its `metadata.dvc` is wrong.
    """
    entry = project.dataset(name)
    written = next((entry[key] for key in _PATH_KEYS if isinstance(entry.get(key), str)), None)
    path = project.relative(written) if written is not None else None
    return DatasetFile(
        name=name,
        type=str(entry.get("type", "")),
        path=path or written,
        dvc=_options(name, entry),
        validator=ValidatorSpec.from_dataset_config(name, entry["validator"])
        if "validator" in entry
        else None,
    )


def _options(name: str, entry: dict[str, Any]) -> DvcOptions:
    metadata = entry.get("metadata") or {}
    try:
        return DvcOptions.model_validate(metadata.get("dvc") or {})
    except ValidationError as error:
        raise ProlepsisError(
            f"The catalog entry says something wrong about DVC: {describe_validation_error(error)}",
            where=f"{name}: metadata: dvc",
            remedy="Known: kind (out, metric or plot), and for a plot x, y, title and template.",
        ) from error
