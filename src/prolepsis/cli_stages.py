"""`kedro stages`: the project's `dvc.yaml`, made from what Kedro knows already."""

import difflib
import sys
from pathlib import Path
from typing import Any

import click
from kedro.framework.startup import ProjectMetadata

from prolepsis.cli_messages import told

_env = click.option(
    "--env", "-e", default="base", show_default=True, help="The environment that DVC runs the stages in."
)


@click.group()
def stages() -> None:
    """The dvc.yaml made from pipelines, catalog and parameters."""


@stages.command()
@_env
@click.pass_obj
@told
def sync(metadata: ProjectMetadata, env: str) -> None:
    """Write dvc.yaml: one stage for each pipeline, or each namespace in it.

    Dependencies, parameters, outputs, metrics and plots come from the pipeline registry, the catalog, the
    parameters and the imports of the code. A stage whose data you track yourself (`dvc add`) is left out.
    """
    from prolepsis.stages import FILE_NAME, dvc_yaml

    project, graph = _plan(metadata.project_path, env)
    changed = dvc_yaml.write(project.path, dvc_yaml.render(graph))
    state = "written" if changed else "already up to date"
    click.echo(f"{FILE_NAME}: {state}, {len(graph.stages)} stages")
    for name, reason in sorted(graph.left_out.items()):
        click.echo(f"  left out: {name} ({reason})")
    _warn_of_closed_parameters(project)
    _warn_of_endangered_data(project, graph)


@stages.command()
@_env
@click.option("--data", is_flag=True, help="Fail if `dvc repro` would delete data that DVC does not know.")
@click.pass_obj
@told
def check(metadata: ProjectMetadata, env: str, data: bool) -> None:
    """Fail if dvc.yaml is not what `kedro stages sync` would write, or stages cannot be made at all."""
    from prolepsis.stages import FILE_NAME, dvc_yaml

    project, graph = _plan(metadata.project_path, env)
    present, wanted = dvc_yaml.read(project.path), dvc_yaml.render(graph)
    difference = "".join(
        difflib.unified_diff(
            present.splitlines(keepends=True),
            wanted.splitlines(keepends=True),
            FILE_NAME,
            "kedro stages sync",
        )
    )
    if difference:
        click.echo(difference, nl=False)
        click.secho(
            f"{FILE_NAME} is not up to date: run `kedro stages sync --env {env}` and commit it.",
            fg="red",
            err=True,
        )
        sys.exit(1)
    _warn_of_closed_parameters(project)
    endangered = _warn_of_endangered_data(project, graph)
    if data and endangered:
        sys.exit(1)
    click.echo(f"{FILE_NAME}: up to date, {len(graph.stages)} stages")


@stages.command()
@_env
@click.option("--format", "form", type=click.Choice(["text", "mermaid"]), default="text", show_default=True)
@click.pass_obj
@told
def graph(metadata: ProjectMetadata, env: str, form: str) -> None:
    """Print which stage follows which."""
    _, found = _plan(metadata.project_path, env)
    click.echo(found.mermaid() if form == "mermaid" else found.text())


def _plan(project_path: Path, env: str) -> tuple[Any, Any]:
    from prolepsis.stages import KedroProject, build_stages

    project = KedroProject(project_path, env)
    return project, build_stages(project)


def _warn_of_closed_parameters(project: Any) -> None:
    from prolepsis.stages.parameters import files_closed_to_experiments

    for file in files_closed_to_experiments(project):
        click.secho(
            f"`dvc exp run -S {file}:…` would fail: DVC does not know the `${{globals:…}}` in it. "
            "Keep such keys in a parameter file of their own.",
            fg="yellow",
            err=True,
        )


def _warn_of_endangered_data(project: Any, graph: Any) -> bool:
    from prolepsis.stages.tracked import endangered_data

    found = endangered_data(project, graph)
    for stage, paths in found.items():
        click.secho(
            f"`dvc repro` would delete {', '.join(paths)}: {stage} writes there, and DVC has not recorded "
            "what is there now.\n"
            f"  yours:               dvc remove {stage} && dvc add {' '.join(paths)} && kedro stages sync\n"
            f"  made by `kedro run`: dvc commit -f {stage}\n"
            f"  of a stopped run:    rm -r {' '.join(paths)}",
            fg="yellow",
            err=True,
        )
    return bool(found)
