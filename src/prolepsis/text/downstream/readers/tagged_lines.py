"""Sentences of words with a tag each, in lines `word <tab> tag`, an empty line between sentences."""

from pathlib import Path

from prolepsis.errors import ProlepsisError
from prolepsis.text.downstream.config import ColumnNames
from prolepsis.text.downstream.tasks import Example

_FORM = "write a word, a tab and its tag on each line, and an empty line between sentences"


def read_tagged_lines(path: Path, columns: ColumnNames) -> list[Example]:
    """The sentences of a file without a header.

    Args:
        columns: names that would be a header; a file that begins with them is refused, since its header would
            be taken for a word.

    Raises:
        ProlepsisError: a line is malformed; the message has its number.
    """
    try:
        # Not splitlines: a word may hold what other formats take for the end of a line.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ProlepsisError(f"The file is not UTF-8: {error}", where=path) from error
    if lines[0].rstrip("\r").split("\t") == [columns.words, columns.labels]:
        raise ProlepsisError(
            "The file begins with the names of its columns, not with a word and its tag.",
            where=f"{path}, line 1",
            remedy="take this line out",
        )
    sentences: list[Example] = []
    tagged: list[tuple[str, str]] = []
    for number, line in enumerate([*lines, ""], 1):
        if line.strip():
            tagged.append(_word_and_tag(line.rstrip("\r"), f"{path}, line {number}"))
        elif tagged:
            words, tags = zip(*tagged, strict=True)
            sentences.append(Example(f"{path}, line {number - len(tagged)}", tags, words=words))
            tagged = []
    return sentences


def _word_and_tag(line: str, where: str) -> tuple[str, str]:
    fields = line.split("\t")
    if len(fields) != 2:
        raise ProlepsisError(
            f"The line has {len(fields)} fields between tabs, not 2.", where=where, remedy=_FORM
        )
    word, tag = fields[0], fields[1].strip()
    if not word.strip() or not tag:
        raise ProlepsisError("The line has no word, or no tag.", where=where, remedy=_FORM)
    return word, tag
