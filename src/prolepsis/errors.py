"""The one exception that is a message for a person."""


class ProlepsisError(Exception):
    """Something a user can mend: what is wrong, where it is, and what to do about it.

    The command line prints it without a traceback and exits with code 1.
    """

    def __init__(self, message: str, *, where: object = None, remedy: str | None = None) -> None:
        self.message = message
        self.where = where
        self.remedy = remedy
        super().__init__(message)

    def __str__(self) -> str:
        lines = [self.message]
        if self.where is not None:
            lines.append(f"  where: {self.where}")
        if self.remedy is not None:
            lines.append(f"  to do: {self.remedy}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments would be lost when a worker process sends the error back.
        return (_rebuild, (type(self), self.message, self.where, self.remedy))


def _rebuild(error: type[ProlepsisError], message: str, where: object, remedy: str | None) -> ProlepsisError:
    return error(message, where=where, remedy=remedy)
