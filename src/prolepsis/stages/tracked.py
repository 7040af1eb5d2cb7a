"""Files that are under DVC already, by a `.dvc` file beside them (`dvc add`, `dvc import-url`)."""

from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from prolepsis.errors import ProlepsisError
from prolepsis.stages.graph import StageGraph, overlap
from prolepsis.stages.project import KedroProject


def tracking_file(project: KedroProject, path: str) -> str | None:
    """The `.dvc` file that tracks a path, or something in it or around it; relative to the project."""
    for folder in PurePosixPath(path).parents:
        for file in sorted((project.path / folder).glob("*.dvc")):
            if file.is_file() and any(_touches(project, path, target) for target in _targets(file)):
                return file.relative_to(project.path).as_posix()
    return None


def _targets(file: Path) -> list[Path]:
    content = _mapping(file)
    try:
        base = file.parent / content.get("wdir", ".")
        return [base / out["path"] for out in content.get("outs", [])]
    except (TypeError, KeyError) as error:
        raise _broken(file) from error


def _mapping(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text("utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _broken(file) from error
    if not isinstance(content, dict):
        raise _broken(file)
    return content


def _broken(file: Path) -> ProlepsisError:
    return ProlepsisError(
        "The file is not what DVC writes.",
        where=file,
        remedy="Restore it with git, or make it anew with DVC.",
    )


def _touches(project: KedroProject, path: str, target: Path) -> bool:
    tracked = project.relative(target)
    return tracked is not None and overlap(path, tracked)


def endangered_data(project: KedroProject, graph: StageGraph) -> dict[str, list[str]]:
    """Existing raw data that DVC would delete, by the stage that writes there.

    DVC removes a stage's outputs before it runs it. That is what one wants of results, but not of files that
    a person put where a stage without any data to read (a demonstration, a download) would write its own.
    """
    lock = project.path / "dvc.lock"
    recorded = (_mapping(lock).get("stages") or {}) if lock.is_file() else {}
    found = {
        stage.name: [output.path for output in stage.outputs if _has_content(project.path / output.path)]
        for stage in graph.stages
        if not stage.data and stage.name not in recorded
    }
    return {name: paths for name, paths in found.items() if paths}


def _has_content(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()
