"""Which keys of which configuration files a stage reads, interpolations followed."""

import re
from collections import deque
from collections.abc import Collection, Iterator
from typing import Any

from prolepsis.stages.graph import overlap
from prolepsis.stages.project import ConfigFile, KedroProject
from prolepsis.stages.tracked import tracking_file

# No colon: that would be an address, or a file inside a package.
_FILE = re.compile(r"(?:[^:*?/\n]{0,255}/){1,12}[^:*?/\n]{0,200}[^:*?/\n.]\.[A-Za-z]\w{0,20}")
_REFERENCE = re.compile(r"\$\{([\w.:-]+)")


def keys_read(project: KedroProject, parameters: set[str], entries: list[Any]) -> dict[str, list[str]]:
    """The keys to watch, by file, for the parameters and catalog entries of a stage.

    Args:
        parameters: dotted names without Kedro's `params:`; "" stands for all parameters.
        entries: unresolved catalog entries, whose `${globals:...}` count as well.

    Returns:
        Sorted keys by file path. A parameter that no file holds is under no key: see `is_defined`.
    """
    found: dict[str, set[str]] = {}
    waiting = deque(("parameters", key) for key in sorted(parameters))
    waiting.extend(
        ("globals", key) for entry in entries for kind, key in _references(entry, "") if kind == "globals"
    )
    seen = set(waiting)
    while waiting:
        kind, key = waiting.popleft()
        for file in project.config_files(kind):
            for part in [key] if key else list(file.content):
                value = _select(file, part)
                if value is _NOTHING:
                    continue
                found.setdefault(file.path, set()).add(part)
                new = set(_references(value, part, within=kind)) - seen
                seen |= new
                waiting.extend(sorted(new))
    return {path: _without_nested(keys) for path, keys in sorted(found.items())}


def is_defined(project: KedroProject, parameter: str) -> bool:
    """Whether any file holds a parameter ("" stands for all)."""
    return not parameter or any(
        _select(file, parameter) is not _NOTHING for file in project.config_files("parameters")
    )


def values_of(project: KedroProject, parameter: str) -> list[Any]:
    """The unresolved values of a parameter in the files that hold it ("" stands for all parameters)."""
    files = project.config_files("parameters")
    values = [_select(file, parameter) if parameter else file.content for file in files]
    return [value for value in values if value is not _NOTHING]


def files_closed_to_experiments(project: KedroProject) -> list[str]:
    """Parameter files that `dvc exp run --set-param` cannot change, though they hold plain values.

    DVC resolves every interpolation of a file before it sets a value in it, and knows none of Kedro's
    resolvers. Keys that need them, such as `${globals:seed}`, are better kept in a file of their own.
    """
    return [
        file.path
        for file in project.config_files("parameters")
        if {":" in "".join(_REFERENCE.findall(str(leaf))) for leaf in _leaves(file.content)} == {True, False}
    ]


def files_named(project: KedroProject, parameters: set[str], made: Collection[str]) -> set[str]:
    """The files inside the project which the values of parameters name, relative to it.

    What names a file is a text with a folder and an ending, such as `data/01_raw/evaluation/questions.jsonl`,
    where there is such a file, a stage makes it, or DVC tracks it, so that stages are the same before and
    after it comes.

    Args:
        made: the paths that stages write.
    """
    leaves = (leaf for name in parameters for leaf in _leaves(project.parameters(name)))
    return {
        path
        for leaf in leaves
        if isinstance(leaf, str) and _FILE.fullmatch(leaf)
        if (path := project.relative(leaf)) is not None
        if any(overlap(path, one) for one in made)
        or (project.path / path).is_file()
        or tracking_file(project, path)
    }


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    else:
        yield value


class _Nothing:
    """Tells a missing key from a key whose value is null."""


_NOTHING = _Nothing()


def _select(file: ConfigFile, dotted: str) -> Any:
    value: Any = file.content
    for part in dotted.split("."):
        if not isinstance(value, dict) or part not in value:
            return _NOTHING
        value = value[part]
    return value


def _references(value: Any, place: str, within: str = "parameters") -> Iterator[tuple[str, str]]:
    """The (kind, key) of all that the texts in a value interpolate; `place` is the value's own key."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _references(item, f"{place}.{key}" if place else str(key), within)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _references(item, f"{place}.{position}", within)
    elif isinstance(value, str):
        for reference in _REFERENCE.findall(value):
            resolver, colon, key = reference.partition(":")
            if colon and resolver == "globals":
                yield "globals", key
            elif not colon:
                yield within, _absolute(reference, place)


def _absolute(reference: str, place: str) -> str:
    """An interpolation's key from the root: one dot means beside `place`, each more a level up."""
    key = reference.lstrip(".")
    levels = len(reference) - len(key)
    if not levels:
        return key
    return ".".join([*place.split(".")[:-levels], key])


def _without_nested(keys: set[str]) -> list[str]:
    """Sorted keys, those left out that lie under another one."""
    return sorted(key for key in keys if not any(key.startswith(f"{other}.") for other in keys))
