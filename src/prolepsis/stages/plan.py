"""From a Kedro project to its stages: one for each leaf pipeline, or for each namespace in it."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from kedro.pipeline import Pipeline

from prolepsis.errors import ProlepsisError
from prolepsis.stages.catalog import DatasetFile, dataset_file
from prolepsis.stages.code import CodeFiles, dataset_module, node_modules
from prolepsis.stages.graph import Output, Stage, StageGraph, in_order, overlap
from prolepsis.stages.parameters import files_named, is_defined, keys_read, values_of
from prolepsis.stages.project import KedroProject
from prolepsis.stages.tracked import tracking_file


@dataclass(frozen=True)
class _Part:
    """The nodes that run together as one stage."""

    name: str
    pipeline_name: str
    pipeline: Pipeline
    selection: tuple[str, ...]

    @cached_property
    def reads(self) -> frozenset[str]:
        return _dataset_names(name for node in self.pipeline.nodes for name in node.inputs)

    @cached_property
    def writes(self) -> frozenset[str]:
        return _dataset_names(name for node in self.pipeline.nodes for name in node.outputs)

    @cached_property
    def parameters(self) -> frozenset[str]:
        """Dotted names; "" where a node reads all `parameters`."""
        inputs = {name for node in self.pipeline.nodes for name in node.inputs}
        named = {name.removeprefix("params:") for name in inputs if name.startswith("params:")}
        return frozenset(named | ({""} if "parameters" in inputs else set()))


def build_stages(project: KedroProject) -> StageGraph:
    """The stages of a project in its environment.

    A stage is left out when a `.dvc` file tracks what it gives to others: then the data is the user's own.

    Raises:
        ProlepsisError: what the project says cannot be a set of stages; the message lists every problem.
    """
    return _Planner(project).plan()


class _Planner:
    def __init__(self, project: KedroProject) -> None:
        self._project = project
        self._code = CodeFiles(project)
        self._datasets: dict[str, DatasetFile] = {}
        self._problems: list[str] = []

    def plan(self) -> StageGraph:
        parts = [part for name in self._project.leaf_pipelines for part in self._parts(name)]
        self._check_boundaries(parts)
        left_out = self._provided_by_the_user(parts)
        kept = [part for part in parts if part.name not in left_out]
        made = {path for part in parts for path in self._paths(part.writes)}
        stages = in_order([self._stage(part, made) for part in kept])
        by_name = {part.name: part for part in kept}
        stages = self._with_validation_results([(stage, by_name[stage.name]) for stage in stages])
        self._check_outputs(stages)
        if self._problems:
            raise ProlepsisError(
                "The project cannot be cut into stages:\n"
                + "\n".join(f"  - {text}" for text in self._problems),
                where=f"environment {self._project.env!r} of {self._project.path}",
                remedy="Mend the catalog entries and parameters named above.",
            )
        return StageGraph(in_order(list(stages)), left_out)

    def _parts(self, name: str) -> Iterator[_Part]:
        pipeline = self._project.leaf_pipelines[name]
        spaces = sorted({node.namespace.split(".")[0] for node in pipeline.nodes if node.namespace})
        for space in spaces:
            yield _Part(
                f"{name}-{space}", name, pipeline.only_nodes_with_namespaces([space]), ("--namespaces", space)
            )
        rest = sorted(node.name for node in pipeline.nodes if not node.namespace)
        if rest:
            selection = ("--nodes", ",".join(rest)) if spaces else ()
            yield _Part(name, name, pipeline.only_nodes(*rest), selection)

    def _dataset(self, name: str) -> DatasetFile:
        if name not in self._datasets:
            self._datasets[name] = dataset_file(self._project, name)
        return self._datasets[name]

    def _check_boundaries(self, parts: list[_Part]) -> None:
        writers = {name: part.name for part in parts for name in part.writes}
        for part in parts:
            for name in sorted(part.reads - part.writes):
                if not self._dataset(name).is_memory:
                    continue
                source = f"made by {writers[name]}" if name in writers else "made by no stage"
                self._problems.append(
                    f"the dataset {name!r} crosses a stage boundary without a file: "
                    f"{source}, read by {part.name}"
                )
            self._problems.extend(
                f"the parameter {name!r}, read by {part.name}, is in no file of this environment"
                for name in sorted(part.parameters)
                if not is_defined(self._project, name)
            )

    def _provided_by_the_user(self, parts: list[_Part]) -> dict[str, str]:
        """Why parts are left out: the `.dvc` files that track all that they give to others.

        What nobody else reads (a demonstration's own account of what it made) does not count.
        """
        left_out: dict[str, str] = {}
        for part in parts:
            written = self._paths(part.writes)
            read = {path for other in parts if other is not part for path in self._paths(other.reads)}
            tracking = {path: file for path in written if (file := tracking_file(self._project, path))}
            given = [path for path in written if any(overlap(path, one) for one in read)]
            missing = [path for path in given if path not in tracking]
            files = ", ".join(sorted(set(tracking.values())))
            if tracking and not missing:
                left_out[part.name] = f"tracked by {files}"
            elif tracking:
                self._problems.append(
                    f"{part.name} would write {', '.join(tracking)}, tracked by {files}: "
                    f"it can be left out only if {', '.join(missing)} is tracked too (dvc add)"
                )
        return left_out

    def _paths(self, names: frozenset[str]) -> list[str]:
        return sorted({path for name in names if (path := self._dataset(name).path) is not None})

    def _stage(self, part: _Part, made: set[str]) -> Stage:
        datasets = [self._dataset(name) for name in sorted(part.reads | part.writes)]
        written = self._paths(part.writes)
        named = {
            path
            for path in files_named(self._project, set(part.parameters), made)
            if not any(overlap(path, one) for one in written)
        }
        files = self._code_files(part, datasets) | self._validator_files(part)
        files |= {file.path for data in datasets for file in self._project.catalog_files(data.name)}
        return Stage(
            name=part.name,
            command=_command(self._project.env, part),
            data=tuple(path for path in sorted({*self._paths(part.reads), *named}) if path not in written),
            files=tuple(sorted(files)),
            parameters=keys_read(self._project, set(part.parameters), self._entries(datasets)),
            outputs=tuple(data.output() for data in datasets if data.name in part.writes and data.path),
        )

    def _code_files(self, part: _Part, datasets: list[DatasetFile]) -> set[str]:
        stored = (dataset_module(data.type, self._project.package) for data in datasets)
        modules = node_modules(part.pipeline) | {module for module in stored if module is not None}
        chosen = [value for name in part.parameters for value in values_of(self._project, name)]
        modules |= self._code.plugin_modules(modules, chosen)
        return self._code.files(modules) | self._code.pipeline_files(part.pipeline_name)

    def _entries(self, datasets: list[DatasetFile]) -> list[object]:
        """The unresolved catalog entries of datasets, with the shared `_blocks` of their files."""
        entries: list[object] = []
        for data in datasets:
            for file in self._project.catalog_files(data.name):
                key = self._project.catalog_key(data.name)
                entries.extend(value for name, value in file.content.items() if name == key or name[0] == "_")
        return entries

    def _validator_files(self, part: _Part) -> set[str]:
        return {
            file
            for name in part.reads | part.writes
            if self._validates(part, name)
            for file in self._dataset(name).validator_files(self._project)
        }

    def _validates(self, part: _Part, name: str) -> bool:
        """Whether the validator of a dataset runs in this part."""
        spec = self._dataset(name).validator
        if spec is None or not spec.enabled:
            return False
        return (name in part.writes and "save" in spec.on) or (name in part.reads and "load" in spec.on)

    def _with_validation_results(self, stages: list[tuple[Stage, _Part]]) -> tuple[Stage, ...]:
        """The stages with the results of validators among their outputs.

        Several stages may validate a dataset as they load it, and each writes the same results; the first
        of them owns the file.
        """
        owned: dict[str, str] = {}
        complete = []
        for stage, part in stages:
            results = []
            for name in sorted(part.reads | part.writes):
                path = self._dataset(name).results_path
                if path is None or not self._validates(part, name):
                    continue
                if path not in owned:
                    owned[path] = name
                    results.append(Output(self._project.relative(path) or path, name))
                elif owned[path] != name:
                    self._problems.append(f"the validators of {owned[path]!r} and {name!r} both write {path}")
            complete.append(replace(stage, outputs=(*stage.outputs, *results)))
        return tuple(complete)

    def _check_outputs(self, stages: tuple[Stage, ...]) -> None:
        written = [(output, stage) for stage in stages for output in stage.outputs]
        for number, (output, stage) in enumerate(written):
            if self._project.relative(output.path) is None:
                self._problems.append(f"{stage.name} writes {output.path}, which is outside the project")
            self._problems.extend(
                f"{_both(stage.name, other_stage.name)} {output.path} ({output.dataset!r}) and "
                f"{other.path} ({other.dataset!r}): outputs must be apart"
                for other, other_stage in written[:number]
                if overlap(output.path, other.path)
            )
            self._problems.extend(
                f"{stage.name} reads {path} and writes {output.path} inside it"
                for path in stage.data
                if overlap(output.path, path)
            )
        for name, data in sorted(self._datasets.items()):
            if data.results_path and data.validator and len(data.validator.on) > 1:
                self._problems.append(
                    f"the validator of {name!r} runs on save and on load, and would write its results twice; "
                    'choose one with "on"'
                )


def _command(env: str, part: _Part) -> str:
    return shlex.join(["kedro", "run", "--env", env, "--pipelines", part.pipeline_name, *part.selection])


def _dataset_names(names: Iterator[str]) -> frozenset[str]:
    return frozenset(name for name in names if not name.startswith("params:") and name != "parameters")


def _both(first: str, second: str) -> str:
    return f"{first} writes both" if first == second else f"{first} and {second} write"
