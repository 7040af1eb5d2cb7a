"""What goes wrong with one video and is no reason to stop for the others."""

from prolepsis.errors import ProlepsisError


class UnreadableVideoError(ProlepsisError):
    """A file that is no video or cannot be decoded to its end; `message` is the reason."""
