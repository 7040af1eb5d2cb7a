"""Sentences of words with part-of-speech tags, in CoNLL-U (universaldependencies.org/format.html)."""

import re
from pathlib import Path

from prolepsis.errors import ProlepsisError
from prolepsis.text.downstream.tasks import Example

_COLUMNS = {"upos": 3, "xpos": 4}
_NUM_COLUMNS = 10
_WORD = re.compile(r"[1-9]\d*")
# The form of several words in one ("1-2", don't), and words left unsaid ("8.1"): neither is tagged.
_NO_WORD = re.compile(r"\d+-\d+|\d+\.\d+")


def read_conllu(path: Path, column: str) -> list[Example]:
    """The sentences of a file, each word with its tag.

    Args:
        column: `upos` or `xpos`; `labels`, the default of tables, stands for `upos`.

    Raises:
        ProlepsisError: a line is malformed; the message has its number.
    """
    column = "upos" if column == "labels" else column
    if column not in _COLUMNS:
        raise ProlepsisError(
            f"A CoNLL-U file is tagged by upos or xpos, not by {column!r}.",
            where=path,
            remedy="write 'columns: {labels: upos}'",
        )
    try:
        # Not splitlines: a word may hold what other formats take for the end of a line.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ProlepsisError(f"The file is not UTF-8: {error}", where=path) from error
    sentences: list[Example] = []
    words: list[str] = []
    labels: list[str] = []
    start = 1
    for number, line in enumerate([*lines, ""], 1):
        if not line.strip():
            if words:
                sentences.append(Example(f"{path}, line {start}", tuple(labels), words=tuple(words)))
            words, labels = [], []
        elif not line.startswith("#"):
            start = number if not words else start
            fields = _fields(line, f"{path}, line {number}", len(words) + 1)
            if fields is not None:
                words.append(fields[1])
                labels.append(_tag(fields[_COLUMNS[column]], column, f"{path}, line {number}"))
    return sentences


def _fields(line: str, where: str, expected: int) -> list[str] | None:
    """The ten fields of the word `expected` of its sentence, or None for a line that is no word."""
    fields = line.split("\t")
    if len(fields) != _NUM_COLUMNS:
        raise ProlepsisError(
            f"The line has {len(fields)} fields between tabs, not {_NUM_COLUMNS}.",
            where=where,
            remedy="mend the line: ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC, with tabs between",
        )
    if _NO_WORD.fullmatch(fields[0]):
        return None
    if not _WORD.fullmatch(fields[0]) or int(fields[0]) != expected:
        raise ProlepsisError(
            f"The word's number is {fields[0]!r}; {expected} was expected.",
            where=where,
            remedy="number the words of a sentence from 1, and leave an empty line between sentences",
        )
    return fields


def _tag(tag: str, column: str, where: str) -> str:
    if tag == "_":
        raise ProlepsisError(
            f"The word has no {column} tag.", where=where, remedy="fill it in, or read the other column"
        )
    return tag
