"""Named, swappable parts, found through Python entry points; the built-in ones come the same way.

A plugin is a class with a `Config` (a pydantic model). It is imported only when it is used.
"""

import difflib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from prolepsis.errors import ProlepsisError

GROUPS = (
    "prolepsis.corpus_readers",
    "prolepsis.corpus_filters",
    "prolepsis.tokenizers",
    "prolepsis.pretraining_objectives",
    "prolepsis.annotation_readers",
    "prolepsis.frame_encoders",
    "prolepsis.action_detectors",
)


def names(group: str) -> list[str]:
    """The names of all installed plugins of an entry-point group, sorted."""
    return sorted(_entry_points(group))


def entry_point(group: str, name: str) -> EntryPoint:
    """The entry point behind a plugin's name; `.module` says where it lives without importing it.

    Raises:
        ProlepsisError: the group or the name is unknown; the message offers the nearest known one.
    """
    if group not in GROUPS:
        raise ProlepsisError(f"There is no plugin group {group!r}.", remedy=offer(group, list(GROUPS)))
    found = _entry_points(group)
    if name not in found:
        raise ProlepsisError(
            f"There is no plugin {name!r} in the group {group!r}.", remedy=offer(name, sorted(found))
        )
    return found[name]


def load(group: str, name: str) -> type[Any]:
    """Imports a plugin and returns its class.

    Raises:
        ProlepsisError: it is unknown, or its module cannot be imported.
    """
    point = entry_point(group, name)
    try:
        plugin: type[Any] = point.load()
    except (ImportError, AttributeError) as error:
        raise ProlepsisError(
            f"The plugin {name!r} of the group {group!r} cannot be imported: {error}",
            where=point.value,
            remedy="Install what the plugin needs, or choose another one.",
        ) from error
    return plugin


def configure(group: str, name: str, values: Mapping[str, Any]) -> BaseModel:
    """The plugin's `Config` built from a user's values, checked.

    Raises:
        ProlepsisError: a value is wrong or unknown; the message names each key.
    """
    plugin = load(group, name)
    try:
        config: BaseModel = plugin.Config.model_validate(dict(values))
    except ValidationError as error:
        raise ProlepsisError(
            f"The configuration of the plugin {name!r} is wrong: {describe_validation_error(error)}",
            where=f"{group}: {name}",
            remedy=f"'kedro plugins show {name}' lists its keys, types and defaults.",
        ) from error
    return config


class PluginChoice(BaseModel):
    """A plugin and its configuration as a user writes them; subclasses set `group`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    group: ClassVar[str]

    plugin: str
    config: dict[str, Any] = {}

    @model_validator(mode="after")
    def _check(self) -> "PluginChoice":
        # Eager, so that a wrong name or key stops a run before its first node.
        self.configuration()
        return self

    def load(self) -> type[Any]:
        return load(self.group, self.plugin)

    def configuration(self) -> Any:
        return configure(self.group, self.plugin, self.config)


def describe_validation_error(error: ValidationError) -> str:
    """A pydantic error as one line: each wrong key, what was given, and what was expected."""
    parts = []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"]) or "(the whole)"
        parts.append(f"{key}: {problem['msg']} (given: {problem['input']!r})")
    return "; ".join(parts)


def offer(given: str, known: list[str]) -> str:
    """What to do about an unknown name: the nearest known one, and all known ones."""
    near = difflib.get_close_matches(given, known, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}Known: {', '.join(known) or 'none'}."


@cache
def _entry_points(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}
