"""The project's commands for `kedro`, and errors as messages for a person."""

import sys
from importlib import import_module
from typing import Any, cast

import click
from kedro.framework.cli.project import run as kedro_run

from prolepsis.cli_messages import for_a_person

_GROUPS = {
    "stages": ("prolepsis.cli_stages", "The dvc.yaml made from pipelines, catalog and parameters."),
    "highlights": ("prolepsis.cli_watch", "The best moments of a video."),
    "plugins": ("prolepsis.cli_plugins", "The swappable parts that are installed."),
    "tokenizers": ("prolepsis.cli_tokenizers", "How the trained tokenizers split a sentence."),
    "validation": ("prolepsis.cli_validation", "Data contracts, held against the data that is there."),
    "watch": ("prolepsis.cli_watch", "A trained detector on a video, a camera or a stream."),
    "words": ("prolepsis.cli_words", "What the trained word vectors know of a word."),
}


class LazyGroup(click.Group):
    """A group whose sub-commands are imported when called, so that `kedro --help` stays quick."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted([*super().list_commands(context), *_GROUPS])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _GROUPS:
            return super().get_command(context, name)
        return cast(click.Command, getattr(import_module(_GROUPS[name][0]), name))


@click.group(cls=LazyGroup)
def cli() -> None:
    """Prolepsis: words and frames that learn by predicting what they have not been shown."""


@click.command(name="run", params=kedro_run.params, help=kedro_run.help)
def run(**options: Any) -> Any:
    """Kedro's own `run`; what a user can mend is told in one message and ends with exit code 1."""
    try:
        return cast(Any, kedro_run.callback)(**options)
    except Exception as error:
        message = for_a_person(error)
        if message is None:
            raise
        click.secho(f"\n{message}", fg="red", err=True)
        sys.exit(1)


cli.add_command(run)
