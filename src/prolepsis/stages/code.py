"""Which source files of a project a stage runs, found by its imports."""

import importlib
import importlib.util
import inspect
from collections.abc import Iterator
from functools import cached_property, partial
from typing import Any

import grimp
from kedro.pipeline import Pipeline

from prolepsis import plugins
from prolepsis.errors import ProlepsisError
from prolepsis.stages.project import KedroProject

_PIPELINE_MODULES = ("", ".pipeline", ".params")


class CodeFiles:
    """The import graph of a project's package, asked for files.

    Imports inside functions count. What is reached only by the name of an entry point does not show in
    imports: `plugin_modules` adds it. Code of other distributions is not followed.
    """

    def __init__(self, project: KedroProject) -> None:
        self._project = project

    def files(self, modules: set[str]) -> set[str]:
        """The files, relative to the project, of modules and of everything they import inside the package.

        A package brings the files that lie in folders of its own beside its code, templates for example.
        """
        known = self._with_imports(modules)
        packages = {module.rpartition(".")[0] for module in known} | known
        return {self._file(module) for module in known}.union(*map(self._data_files, packages))

    def pipeline_files(self, pipeline_name: str) -> set[str]:
        """The files that define a pipeline: `__init__.py`, `pipeline.py`, `params.py`; not their imports."""
        package = f"{self._project.package}.pipelines.{pipeline_name}"
        modules = (f"{package}{end}" for end in _PIPELINE_MODULES)
        return {self._file(module) for module in modules if module in self._graph.modules}

    def plugin_modules(self, modules: set[str], values: Any) -> set[str]:
        """The modules of the plugins that parameters choose: every text under a key `plugin`.

        The key does not say the plugin's group. It is one of those that `modules`, or what they import, name
        in their source.
        """
        known = self._with_imports(modules) - {plugins.__name__}  # which names all groups
        sources = [(self._project.path / self._file(module)).read_text("utf-8") for module in known]
        groups = [group for group in plugins.GROUPS if any(group in source for source in sources)]
        chosen = {name for name in _chosen(values) if "${" not in name}
        everything = sorted({name for group in plugins.GROUPS for name in plugins.names(group)})
        for name in sorted(chosen.difference(everything)) if groups else []:
            raise ProlepsisError(
                f"There is no plugin {name!r}.", where="parameters", remedy=plugins.offer(name, everything)
            )
        return {
            plugins.entry_point(group, name).module
            for group in groups
            for name in chosen.intersection(plugins.names(group))
        }

    def _data_files(self, module: str) -> set[str]:
        base = self._project.source.joinpath(*module.split("."))
        if not base.is_dir():
            return set()
        folders = [path for path in base.iterdir() if path.is_dir() and path.name != "__pycache__"]
        return {
            file.relative_to(self._project.path).as_posix()
            for folder in folders
            if not any(folder.rglob("*.py"))
            for file in folder.rglob("*")
            if file.is_file()
        }

    def _with_imports(self, modules: set[str]) -> set[str]:
        known = {module for module in modules if module in self._graph.modules}
        for module in sorted(known):
            known |= self._graph.find_upstream_modules(module)
        return known

    @cached_property
    def _graph(self) -> grimp.ImportGraph:
        # A cache folder would appear wherever the command is called from; building takes well under a second.
        return grimp.build_graph(self._project.package, cache_dir=None)

    def _file(self, module: str) -> str:
        base = self._project.source.joinpath(*module.split("."))
        path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        return path.relative_to(self._project.path).as_posix()


def node_modules(pipeline: Pipeline) -> set[str]:
    """The modules in which the functions of a pipeline's nodes are defined."""
    return {_module(node.func) for node in pipeline.nodes}


def dataset_module(type_name: Any, package: str) -> str | None:
    """The module of a catalog entry's `type` if it is a class of this package."""
    if not isinstance(type_name, str) or not type_name.startswith(f"{package}."):
        return None
    module_name, _, class_name = type_name.rpartition(".")
    if importlib.util.find_spec(module_name) is None:
        return None
    found = getattr(importlib.import_module(module_name), class_name, None)
    return getattr(found, "__module__", None)


def _module(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)
    return str(getattr(function, "__module__", type(function).__module__))


def _chosen(values: Any) -> Iterator[str]:
    if isinstance(values, dict):
        for key, value in values.items():
            if key == "plugin" and isinstance(value, str):
                yield value
            yield from _chosen(value)
    elif isinstance(values, list):
        for value in values:
            yield from _chosen(value)
