"""Stages, and the order that follows from the files they exchange."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePosixPath
from typing import Literal

from prolepsis.errors import ProlepsisError


@dataclass(frozen=True)
class Output:
    """A file or folder that a stage writes.

    `dataset` is its name in the catalog; `x`, `y`, `title` and `template` say how DVC draws a plot.
    """

    path: str
    dataset: str
    kind: Literal["out", "metric", "plot"] = "out"
    x: str | None = None
    y: str | tuple[str, ...] | None = None
    title: str | None = None
    template: str | None = None


@dataclass(frozen=True)
class Stage:
    """What DVC needs to know to run a part of the pipelines only when something it depends on changed."""

    name: str
    command: str
    data: tuple[str, ...]
    files: tuple[str, ...]
    parameters: Mapping[str, list[str]]
    outputs: tuple[Output, ...]


@dataclass(frozen=True)
class StageGraph:
    """All stages of a project.

    `stages` is in topological order, alphabetical where that leaves a choice. `left_out` tells why a stage
    is not among them, by its name.
    """

    stages: tuple[Stage, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def edges(self) -> frozenset[tuple[str, str]]:
        """The pairs (writer, reader) of stages."""
        return frozenset(
            (writer.name, reader.name)
            for writer in self.stages
            for reader in self.stages
            if writer is not reader
            and any(overlap(output.path, path) for output in writer.outputs for path in reader.data)
        )

    def text(self) -> str:
        """A line for each stage, with those it follows."""
        lines = []
        for stage in self.stages:
            before = [writer for writer, reader in sorted(self.edges) if reader == stage.name]
            lines.append(f"{stage.name}  <-  {', '.join(before)}" if before else stage.name)
        lines.extend(f"({name}: left out, {reason})" for name, reason in sorted(self.left_out.items()))
        return "\n".join(lines)

    def mermaid(self) -> str:
        """A Mermaid flow chart."""
        numbers = {stage.name: f"s{number}" for number, stage in enumerate(self.stages)}
        nodes = [f'    {number}["{name}"]' for name, number in numbers.items()]
        arrows = [f"    {numbers[writer]} --> {numbers[reader]}" for writer, reader in sorted(self.edges)]
        return "\n".join(["flowchart TD", *nodes, *arrows])


def in_order(stages: list[Stage]) -> tuple[Stage, ...]:
    """The stages sorted so that each follows those whose files it reads.

    Raises:
        ProlepsisError: stages read from each other in a circle.
    """
    by_name = {stage.name: stage for stage in stages}
    sorter = TopologicalSorter(dict.fromkeys(sorted(by_name), ()))
    for writer, reader in sorted(StageGraph(tuple(stages)).edges):
        sorter.add(reader, writer)
    try:
        sorter.prepare()
    except CycleError as error:
        raise ProlepsisError(
            f"Stages wait for each other: {' -> '.join(error.args[1])}.",
            remedy="Give the nodes between them the same namespace, or a pipeline of their own.",
        ) from error
    ordered: list[Stage] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered.extend(by_name[name] for name in ready)
        sorter.done(*ready)
    return tuple(ordered)


def overlap(first: str, second: str) -> bool:
    """Whether two paths are the same, or one lies inside the other."""
    one, other = PurePosixPath(first), PurePosixPath(second)
    return one.is_relative_to(other) or other.is_relative_to(one)
