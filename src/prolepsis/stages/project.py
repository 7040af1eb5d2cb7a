"""What a Kedro project says about itself: its pipelines, its catalog entries and its configuration files."""

import os
import pkgutil
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from kedro.config import MissingConfigException, OmegaConfigLoader
from kedro.framework.project import pipelines, settings
from kedro.framework.startup import bootstrap_project
from kedro.io import CatalogConfigResolver, DataCatalog
from kedro.pipeline import Pipeline

from prolepsis.errors import ProlepsisError

_CONFIG_SUFFIXES = (".yml", ".yaml", ".json")


@dataclass(frozen=True)
class ConfigFile:
    """A file of `conf/`: its path relative to the project, and its content, interpolations unresolved."""

    path: str
    content: dict[str, Any]


class KedroProject:
    """A Kedro project as it is configured in one environment.

    Args:
        path: the folder of the project's `pyproject.toml`.
        env: the run environment; its files override those of the base environment.
    """

    def __init__(self, path: Path, env: str) -> None:
        metadata = bootstrap_project(path)
        self.path: Path = metadata.project_path
        self.package: str = metadata.package_name
        self.source: Path = metadata.source_dir
        self.env = env
        self._conf = self.path / settings.CONF_SOURCE
        if not (self._conf / env).is_dir():
            raise ProlepsisError(
                f"There is no environment {env!r}.",
                where=self._conf,
                remedy="Name one of the folders there with --env.",
            )

    @cached_property
    def leaf_pipelines(self) -> dict[str, Pipeline]:
        """The registered pipelines that have a folder in the package's `pipelines`, by name, sorted.

        Others, such as `__default__`, are sums of these: a stage for each would write every file twice. So
        would an alternative to a pipeline, which `__default__` leaves out, and which is run by hand.
        """
        folder = import_module(f"{self.package}.pipelines")
        names = sorted(module.name for module in pkgutil.iter_modules(folder.__path__))
        leaves = {name: pipelines[name] for name in names if name in pipelines}
        if "__default__" not in pipelines:
            return leaves
        default = set(pipelines["__default__"].nodes)
        return {name: leaf for name, leaf in leaves.items() if default.issuperset(leaf.nodes)}

    def dataset(self, name: str) -> dict[str, Any]:
        """The catalog entry of a dataset, with patterns and interpolations resolved, paths as written."""
        entry: dict[str, Any] = self._resolver.resolve_pattern(name)
        return entry

    def parameters(self, name: str) -> Any:
        """The value of a parameter by its dotted name ("" stands for all), interpolations resolved."""
        value: Any = self._loader["parameters"]
        for part in name.split(".") if name else []:
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def catalog_key(self, name: str) -> str | None:
        """The name of a dataset's catalog entry: its own, or that of the pattern it matches."""
        if name in self._resolver.config:
            return name
        pattern: str | None = self._resolver.match_dataset_pattern(name)
        return pattern

    def catalog_files(self, name: str) -> list[ConfigFile]:
        """The files that hold the catalog entry of a dataset."""
        key = self.catalog_key(name)
        return [file for file in self.config_files("catalog") if key in file.content]

    def config_files(self, kind: str) -> list[ConfigFile]:
        """The files of a kind ("catalog", "parameters", "globals"), those of the base environment first."""
        return self._files[kind]

    def relative(self, path: str | Path) -> str | None:
        """A path relative to the project, in POSIX form, or None if it lies outside (or is no local path)."""
        if "://" in str(path):
            return None
        whole = Path(os.path.normpath(self.path / path))
        return whole.relative_to(self.path).as_posix() if whole.is_relative_to(self.path) else None

    def _read(self, file: Path) -> ConfigFile:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        if not isinstance(content, dict):
            raise ProlepsisError(
                f"The file holds {type(content).__name__}s, and not names with values.",
                where=file,
                remedy="Begin its lines with names: 'bert: ...'.",
            )
        return ConfigFile(file.relative_to(self.path).as_posix(), content)

    @cached_property
    def _loader(self) -> OmegaConfigLoader:
        loader: OmegaConfigLoader = settings.CONFIG_LOADER_CLASS(
            conf_source=str(self._conf), env=self.env, **settings.CONFIG_LOADER_ARGS
        )
        return loader

    @cached_property
    def _resolver(self) -> CatalogConfigResolver:
        try:
            credentials = self._loader["credentials"]
        except MissingConfigException:
            credentials = {}
        return CatalogConfigResolver(
            self._loader["catalog"], credentials, DataCatalog.default_runtime_patterns
        )

    @cached_property
    def _files(self) -> dict[str, list[ConfigFile]]:
        base = settings.CONFIG_LOADER_ARGS.get("base_env", "base")
        return {
            kind: [
                self._read(file)
                for env in dict.fromkeys((base, self.env))
                for file in _matching_files(self._conf / env, self._loader.config_patterns[kind])
            ]
            for kind in ("catalog", "parameters", "globals")
        }


def _matching_files(folder: Path, patterns: list[str]) -> list[Path]:
    # To Kedro "**" at the end means files in all depths; to pathlib it means folders.
    wide = [f"{pattern}/*" if pattern.endswith("**") else pattern for pattern in patterns]
    found = {path for pattern in wide for path in folder.glob(pattern)}
    return sorted(path for path in found if _is_config(path.relative_to(folder)) and path.is_file())


def _is_config(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix in _CONFIG_SUFFIXES and not hidden
