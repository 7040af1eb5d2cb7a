"""Where sentences start, by one small rule for all languages, and which tokens that is.

A sentence starts at the beginning of a text and after

* a line end;
* one or more of `. ! ? … ؟ । ۔`, closing quotes or brackets, and white space, unless a lower-case letter
  follows (`e.g. this`) or the full stop belongs to a single letter (`J. R. R. Tolkien`);
* one or more of `。 ！ ？ ．`, closing quotes or brackets, with or without white space.

An abbreviation before a capital (`Mr. Smith`) is taken for an end: a rule that knew better would need a list
for each language.
"""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

_END = re.compile(
    r"""
    (?P<spaced> [.!?…؟।۔]+ ["'”’»)\]]* \s+ )
    | [。！？．｡]+ [”’」』）】》〉"')\]]* \s*
    | \s*\n\s*
    """,
    re.VERBOSE,
)
_INITIAL = re.compile(r"\b\w\.\s")


def sentence_boundaries(text: str) -> list[int]:
    """The character positions where sentences start, rising, from the first visible character on."""
    first = len(text) - len(text.lstrip())
    starts = [first] if first < len(text) else []
    for end in _END.finditer(text, first):
        if end.end() < len(text) and not _continues(text, end):
            starts.append(end.end())
    return starts


def sentence_starts(text: str, offsets: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    """The tokens with which sentences start: rising positions, int32.

    Args:
        text: what was encoded.
        offsets: `[N, 2]`, the characters that each token stands for, as
            `Tokenizer.encode_batch_with_offsets` gives them.
    """
    # The token that holds the first character of a sentence, or the next one where no token does.
    positions = np.searchsorted(offsets[:, 1], sentence_boundaries(text), side="right")
    return np.unique(positions[positions < len(offsets)]).astype(np.int32)


def _continues(text: str, end: re.Match[str]) -> bool:
    if end["spaced"] is None or "\n" in end["spaced"]:
        return False
    return text[end.end()].islower() or _INITIAL.match(text, end.start() - 1) is not None
