"""A Kedro project of a test's own."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Project:
    """A copy of this project's configuration in a folder of its own, with nothing in its `data`."""

    path: Path
    env: str = "test"

    def run(
        self, *pipelines: str, params: Mapping[str, Any] | None = None, namespaces: list[str] | None = None
    ) -> dict[str, Any]:
        """`kedro run --env test --pipelines …` in this process."""
        with self._session(params) as session:
            outputs: dict[str, Any] = session.run(pipeline_names=list(pipelines), namespaces=namespaces)
        return outputs

    def load(self, dataset: str) -> Any:
        return self.catalog().load(dataset)

    def save(self, dataset: str, data: Any) -> None:
        self.catalog().save(dataset, data)

    def catalog(self) -> Any:
        with self._session() as session:
            return session.load_context().catalog

    def _session(self, params: Mapping[str, Any] | None = None) -> Any:
        from kedro.framework.session import KedroSession
        from kedro.framework.startup import bootstrap_project

        bootstrap_project(self.path)
        return KedroSession.create(self.path, env=self.env, runtime_params=dict(params or {}))


def copy_project(path: Path) -> Path:
    """Copies what makes a Kedro project, without data; the source is linked, not copied."""
    path.mkdir()
    shutil.copytree(ROOT / "conf", path / "conf", ignore=shutil.ignore_patterns("local"))
    (path / "conf" / "local").mkdir()
    shutil.copy(ROOT / "pyproject.toml", path)
    # Kedro wants `src` itself to lie inside the project.
    (path / "src").mkdir()
    (path / "src" / "prolepsis").symlink_to(ROOT / "src" / "prolepsis", target_is_directory=True)
    return path
