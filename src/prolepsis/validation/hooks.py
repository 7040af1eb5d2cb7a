"""Tells validators what Kedro does not: the project, and which dataset is being saved or loaded.

Kedro hands a validator the data and nothing else.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal
from weakref import ref

from kedro.framework.hooks import hook_impl


@dataclass(frozen=True)
class Place:
    """Where in a run a validator is called."""

    dataset: str
    when: Literal["save", "load"]


_place: ContextVar[Place | None] = ContextVar("place", default=None)


class ValidationHooks:
    """To be listed in the project's `settings.HOOKS`."""

    # Weak, so that the path of a project is forgotten together with its context.
    context: ClassVar[ref[Any] | None] = None

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        ValidationHooks.context = ref(context)
        _place.set(None)

    @hook_impl
    def on_pipeline_error(self) -> None:
        _place.set(None)  # what failed was not saved or loaded to its end

    @hook_impl
    def before_dataset_saved(self, dataset_name: str) -> None:
        _place.set(Place(dataset_name, "save"))

    @hook_impl
    def after_dataset_saved(self) -> None:
        _place.set(None)

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str) -> None:
        _place.set(Place(dataset_name, "load"))

    @hook_impl
    def after_dataset_loaded(self) -> None:
        _place.set(None)


def project_path() -> Path:
    """The project of the present Kedro context, else that around the working folder, else that folder."""
    context = ValidationHooks.context() if ValidationHooks.context is not None else None
    if context is not None:
        path: Path = context.project_path
        return path
    from kedro.utils import find_kedro_project

    found: Path | None = find_kedro_project(Path.cwd())
    return found or Path.cwd()


def place() -> Place | None:
    """The dataset that a run saves or loads now; None outside a run (a notebook, `catalog.load`)."""
    return _place.get()
