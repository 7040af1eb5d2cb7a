"""`kedro plugins`: what is installed to choose from, and how each is configured."""

import ast
import importlib.util
import inspect
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rich.console import Console
from rich.table import Table
from rich.text import Text

from prolepsis.cli_messages import told
from prolepsis.plugins import GROUPS, entry_point, load, names

_PREFIX = "prolepsis."
_PIPE_COLUMNS = 160


@click.group()
def plugins() -> None:
    """The swappable parts that are installed."""


@plugins.command("list")
@click.argument("group", required=False)
def list_plugins(group: str | None) -> None:
    """List all plugins, or those of a GROUP such as action_detectors."""
    table = Table("group", "name", "module", "what it is")
    for one in _groups(group):
        for name in names(one):
            point = entry_point(one, name)
            _add_row(table, one.removeprefix(_PREFIX), name, point.module, _summary_without_import(point))
    _console().print(table)


@plugins.command("show")
@click.argument("name")
@told
def show_plugin(name: str) -> None:
    """Show what the plugin NAME is and what its configuration takes."""
    groups = [group for group in GROUPS if name in names(group)]
    if not groups:
        known = sorted({known for group in GROUPS for known in names(group)})
        raise click.ClickException(f"There is no plugin {name!r}. Known: {', '.join(known)}.")
    for group in groups:
        _show(group, name, load(group, name))


def _show(group: str, name: str, plugin: type[Any]) -> None:
    console = _console()
    console.print(f"[bold]{name}[/] · {group} · {plugin.__module__}:{plugin.__qualname__}", highlight=False)
    console.print(_first_paragraph(inspect.getdoc(plugin)), markup=False, highlight=False)
    config: type[BaseModel] = plugin.Config
    if not config.model_fields:
        console.print("It has nothing to configure.\n")
        return
    table = Table("key", "type", "default", "meaning")
    for key, field in config.model_fields.items():
        _add_row(table, key, _type(field), _default(field), field.description or "")
    console.print(table)
    console.print()


def _groups(group: str | None) -> list[str]:
    if group is None:
        return list(GROUPS)
    whole = group if group.startswith(_PREFIX) else f"{_PREFIX}{group}"
    if whole not in GROUPS:
        known = ", ".join(one.removeprefix(_PREFIX) for one in GROUPS)
        raise click.ClickException(f"There is no plugin group {group!r}. Known: {known}.")
    return [whole]


def _summary_without_import(point: EntryPoint) -> str:
    """The first paragraph of a plugin's docstring, read from its source: a list must not import torch."""
    try:
        found = importlib.util.find_spec(point.module)
    except ImportError as error:
        return f"cannot be imported: {error}"
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        return ""
    tree = ast.parse(Path(found.origin).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == point.attr:
            return _first_paragraph(ast.get_docstring(node))
    return ""


def _first_paragraph(docstring: str | None) -> str:
    return " ".join((docstring or "").split("\n\n")[0].split())


def _type(field: FieldInfo) -> str:
    annotation = field.annotation
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(must be given)"
    default = field.get_default(call_default_factory=True, validated_data={})
    return "" if default is PydanticUndefined else repr(default)


def _add_row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(cell) for cell in cells))  # not markup: `list[int]` is to be seen as it is


def _console() -> Console:
    """As wide as the terminal; wide enough for whole lines where the output goes to a file or a pipe."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_COLUMNS)
