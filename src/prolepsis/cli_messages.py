"""What the commands have in common: mistakes are told, not traced."""

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from prolepsis.errors import ProlepsisError

_TRACEBACK = "PROLEPSIS_TRACEBACK"
# How Kedro begins when no pipeline, namespace or node has the name that was asked for.
_NOTHING_TO_RUN = ("Failed to find the pipeline", "Pipeline does not contain")

Wanted = TypeVar("Wanted", bound=BaseException)


def told(command: Callable[..., Any]) -> Callable[..., Any]:
    """Tells what a user can mend in one message."""

    @wraps(command)
    def wrapper(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except click.ClickException:
            raise
        except Exception as error:
            message = for_a_person(error)
            if message is None:
                raise
            raise click.ClickException(message) from error

    return wrapper


def for_a_person(error: BaseException) -> str | None:
    """The message of an error that is a user's to mend; None for a defect of the program, or where all
    tracebacks are wanted."""
    from kedro.config import MissingConfigException
    from kedro.io.core import DatasetError
    from kedro.validation import ParameterValidationError
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    if os.environ.get(_TRACEBACK):
        return None
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
