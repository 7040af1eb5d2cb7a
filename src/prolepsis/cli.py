"""The project's commands for `kedro`, and errors as messages for a person."""

import os
import sys
from importlib import import_module
from typing import Any, TypeVar, cast

import click
from kedro.framework.cli.project import run as kedro_run

_GROUPS = {
    "stages": ("prolepsis.cli_stages", "The dvc.yaml made from pipelines, catalog and parameters."),
    "highlights": ("prolepsis.cli_watch", "The best moments of a video."),
    "plugins": ("prolepsis.cli_plugins", "The swappable parts that are installed."),
    "tokenizers": ("prolepsis.cli_tokenizers", "How the trained tokenizers split a sentence."),
    "validation": ("prolepsis.cli_validation", "Data contracts, held against the data that is there."),
    "watch": ("prolepsis.cli_watch", "A trained detector on a video, a camera or a stream."),
    "words": ("prolepsis.cli_words", "What the trained word vectors know of a word."),
}
_TRACEBACK = "PROLEPSIS_TRACEBACK"
# How Kedro begins when no pipeline, namespace or node has the name that was asked for.
_NOTHING_TO_RUN = ("Failed to find the pipeline", "Pipeline does not contain")

Wanted = TypeVar("Wanted", bound=BaseException)


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
        message = _for_a_person(error)
        if message is None or os.environ.get(_TRACEBACK):
            raise
        click.secho(f"\n{message}", fg="red", err=True)
        sys.exit(1)


cli.add_command(run)


def _for_a_person(error: BaseException) -> str | None:
    """The message of an error that is a user's to mend, or None for one that is a defect of the program."""
    from kedro.config import MissingConfigException
    from kedro.io.core import DatasetError
    from kedro.validation import ParameterValidationError
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from prolepsis.errors import ProlepsisError

    known = _first_of(error, ProlepsisError)
    if known is not None:
        return str(known)
    if isinstance(error, ParameterValidationError):
        return _parameters(str(error))
    if isinstance(error, DatasetError | MissingConfigException | YAMLError | OmegaConfBaseException):
        return f"{error}\n  ({_TRACEBACK}=1 shows where in the program)"
    if isinstance(error, ValueError) and str(error).startswith(_NOTHING_TO_RUN):
        return str(error)
    return None


def _first_of(error: BaseException | None, kind: type[Wanted]) -> Wanted | None:
    """The first exception of a kind along the chain of causes: Kedro wraps what datasets raise."""
    while error is not None:
        if isinstance(error, kind):
            return error
        error = error.__cause__
    return None


def _parameters(message: str) -> str:
    """Pydantic's message without its links, and with the place where parameters are written."""
    lines = [line for line in message.splitlines() if "errors.pydantic.dev" not in line]
    where = "  where: conf/<environment>/parameters/, or --params on the command line"
    return "\n".join([*lines, where])
