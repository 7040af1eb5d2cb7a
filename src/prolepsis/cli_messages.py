"""What the commands have in common: mistakes are told, not traced."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from prolepsis.errors import ProlepsisError


def told(command: Callable[..., Any]) -> Callable[..., Any]:
    """Tells what a user can mend in one message."""

    @wraps(command)
    def wrapper(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except ProlepsisError as error:
            raise click.ClickException(str(error)) from error

    return wrapper
