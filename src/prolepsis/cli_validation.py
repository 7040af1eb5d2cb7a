"""`kedro validation`: the data that is there, held against its contracts without running anything."""

import sys
from typing import Any

import click
from kedro.framework.cli.utils import env_option
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import ProjectMetadata
from kedro.io import DatasetError
from kedro.validation import validate_dataset

from prolepsis.cli_messages import told

_COLOURS = {"passed": "green", "no data yet": "yellow"}


@click.group()
def validation() -> None:
    """Data contracts: expectation suites and the data they are about."""


@validation.command("run")
@click.argument("datasets", nargs=-1)
@env_option
@click.pass_obj
@told
def run_validation(metadata: ProjectMetadata, datasets: tuple[str, ...], env: str | None) -> None:
    """Check DATASETS, or all that have a validator, as they lie on disk; fail if one breaks its suite."""
    # The context is held by a name: validators learn from it, while it lives, where the project is.
    context = KedroSession.create(metadata.project_path, env=env, save_on_close=False).load_context()
    catalog = context.catalog
    failed = False
    for name in datasets or _all_datasets(catalog):
        state, message = _check(catalog, name)
        if state is None:
            continue
        failed |= state not in _COLOURS
        click.echo(f"{name}: {click.style(state, fg=_COLOURS.get(state, 'red'))}")
        if message:
            click.echo("\n".join(f"    {line}" for line in message.splitlines()))
    sys.exit(1 if failed else 0)


def _all_datasets(catalog: Any) -> list[str]:
    """The datasets of all pipelines that are in the catalog, parameters left out."""
    names = {name for pipeline in pipelines.values() for name in pipeline.datasets()}
    data = sorted(name for name in names if not name.startswith("params:") and name != "parameters")
    return [name for name in data if catalog.get(name) is not None]


def _check(catalog: Any, name: str) -> tuple[str | None, str]:
    """What came of a dataset, and its message; None where it has no validator."""
    dataset = catalog.get(name)
    if dataset is None:
        return "unknown", "The catalog has no such dataset."
    spec = catalog.validator_specs.get(name)
    if spec is None:
        return None, ""
    if not dataset.exists():
        return "no data yet", ""
    try:
        data = dataset.load()
    except DatasetError as error:
        return "cannot be loaded", str(error)
    result = validate_dataset(catalog, name, data, on=spec.on[0])
    return result.status, result.message or ""
