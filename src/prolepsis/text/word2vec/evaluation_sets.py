"""Reading the sets that word vectors are scored on; words are in upper case, so that case does not count."""

from collections.abc import Iterator, Sequence
from itertools import chain, cycle, islice
from pathlib import Path
from typing import NamedTuple

from prolepsis.errors import ProlepsisError

_AN_ANALOGY = "write four words on a line, below a line ': section'"
_GROUP_SIZE = 8
# So the sections about grammar are called in Google's questions; the others are about meaning.
_GRAMMAR = "gram"


class OutlierGroup(NamedTuple):
    """Words of one kind, and words of other kinds, each of which is to be told from the group."""

    words: list[str]
    outliers: list[str]


def read_lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ProlepsisError(
            f"The evaluation set is not UTF-8: {error.reason} at byte {error.start}.",
            where=file,
            remedy="save it in UTF-8",
        ) from error


def read_questions(file: Path) -> dict[str, list[list[str]]]:
    """The questions of each section, four words each.

    Raises:
        ProlepsisError: a line is none, or there is no question.
    """
    sections: dict[str, list[list[str]]] = {}
    for number, line in enumerate(read_lines(file), start=1):
        if line.startswith(":"):
            section = sections.setdefault(line.lstrip(": ").strip(), [])
        elif line.strip():
            words = line.upper().split()
            if len(words) != 4 or not sections:
                raise ProlepsisError(
                    f"This is not an analogy: {line!r}", where=f"{file}, line {number}", remedy=_AN_ANALOGY
                )
            section.append(words)
    if not any(sections.values()):
        raise ProlepsisError("There is no analogy.", where=file, remedy=_AN_ANALOGY)
    return sections


def read_outlier_groups(path: Path) -> list[OutlierGroup]:
    """The groups of a folder, or those that can be made of a file of analogies (`groups_of_analogies`).

    Args:
        path: a folder with a `.txt` file for each group, as in the 8-8-8 set (Camacho-Collados and Navigli
            2016): its words, one a line, an empty line, and its outliers; or a file of analogies.

    Raises:
        ProlepsisError: there is no group, or a file is none.
    """
    if not path.is_dir():
        return groups_of_analogies(read_questions(path), path)
    files = sorted(path.glob("*.txt"))
    if not files:
        raise ProlepsisError(
            "There is no group of words.", where=path, remedy="put a .txt file for each group into the folder"
        )
    return [_read_group(file) for file in files]


def groups_of_analogies(sections: dict[str, list[list[str]]], source: Path) -> list[OutlierGroup]:
    """Groups of eight words and eight outliers, made of the sections about meaning.

    A section's questions `a b c d` name words of two kinds, `a` and `c` (capitals), `b` and `d` (countries).
    The words of a kind, in the order in which they are asked about, are cut into groups of eight; what is
    left over is not used. The outliers of a group come from all other kinds in turn, so that those of one
    kind's groups are not always the same.

    Raises:
        ProlepsisError: there are not two kinds.
    """
    kinds = _kinds(sections)
    groups = []
    for number, kind in enumerate(kinds):
        outliers = _in_turn([*kinds[:number], *kinds[number + 1 :]])
        for start in range(0, len(kind) - _GROUP_SIZE + 1, _GROUP_SIZE):
            words = kind[start : start + _GROUP_SIZE]
            groups.append(OutlierGroup(words, list(islice(outliers, _GROUP_SIZE))))
    if len(kinds) < 2 or not groups:
        raise ProlepsisError(
            "There are no words of two kinds, eight of one of them, to make groups with outliers of.",
            where=source,
            remedy="name Google's analogies, or a folder of groups",
        )
    return groups


def _kinds(sections: dict[str, list[list[str]]]) -> list[list[str]]:
    """The words of each kind, in order.

    What shares more than half of the smaller one's words is one kind, since several sections ask about
    countries. A word of two kinds (Georgia) is left out: it would be no outlier of either.
    """
    kinds: list[dict[str, None]] = []
    for name, questions in sections.items():
        if name.startswith(_GRAMMAR):
            continue
        for first, second in ((0, 2), (1, 3)):
            words = dict.fromkeys(question[place] for question in questions for place in (first, second))
            known = next((kind for kind in kinds if _are_one_kind(kind, words)), None)
            if known is not None:
                known.update(words)
            elif words:
                kinds.append(words)
    unambiguous = [[word for word in kind if sum(word in other for other in kinds) == 1] for kind in kinds]
    return [kind for kind in unambiguous if kind]


def _are_one_kind(kind: dict[str, None], words: dict[str, None]) -> bool:
    return 2 * len(kind.keys() & words.keys()) > min(len(kind), len(words))


def _in_turn(kinds: Sequence[Sequence[str]]) -> Iterator[str]:
    """The first word of each kind, the second of each, and so on without end."""
    return chain.from_iterable(zip(*map(cycle, kinds), strict=False))


def _read_group(file: Path) -> OutlierGroup:
    parts: list[list[str]] = [[]]
    for line in read_lines(file):
        if line.strip():
            parts[-1].append(line.strip().upper())
        elif parts[-1]:
            parts.append([])
    parts = [part for part in parts if part]
    if len(parts) != 2:
        raise ProlepsisError(
            f"This is not a group of words and its outliers: it has {len(parts)} parts.",
            where=file,
            remedy="write a word on each line, and an empty line between the group and its outliers",
        )
    return OutlierGroup(*parts)
