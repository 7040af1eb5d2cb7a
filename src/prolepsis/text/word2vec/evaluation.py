"""Intrinsic scores of word vectors: word similarity, analogies (both computed as gensim does), outliers.

Words are compared without regard to case, the most frequent form standing for all. What is not in the
vocabulary is left out and shows in the coverage, which belongs beside every score.
"""

import math
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from prolepsis.errors import ProlepsisError
from prolepsis.text.word2vec.evaluation_sets import read_lines, read_outlier_groups, read_questions
from prolepsis.text.word2vec.vectors import WordVectors

_QUESTIONS_AT_ONCE = 512
_A_PAIR = "write word <tab> word <tab> number on each line"


def locate_evaluation_set(reference: str, *, may_be_folder: bool = False) -> Path:
    """The file that `reference` names: a path, or `package:path` inside an installed package.

    The package is found, never imported.

    Args:
        may_be_folder: whether a folder will do as well.

    Raises:
        ProlepsisError: the package is not installed, or has nothing there.
    """
    package, _, inside = reference.rpartition(":")
    if len(package) < 2:  # one letter is a drive of Windows
        path = Path(reference)
    else:
        specification = _find_package(package)
        if specification is None or not specification.submodule_search_locations:
            raise ProlepsisError(
                f"The evaluation set {reference!r} lies in the package {package!r}, which is not installed.",
                where="word2vec.evaluation",
                remedy="pip install 'prolepsis[demo]', or name files of your own",
            )
        path = Path(specification.submodule_search_locations[0]) / inside
    if not (path.is_file() or (may_be_folder and path.is_dir())):
        raise ProlepsisError(
            f"There is no evaluation set {reference!r}.",
            where=path,
            remedy="name a path, or package:path of one inside an installed package",
        )
    return path


def score_similarity(vectors: WordVectors, file: Path) -> dict[str, Any]:
    """Spearman's rank correlation of cosines with people's judgements.

    Args:
        file: lines `word <tab> word <tab> judgement`; those that begin with # are comments.

    Returns:
        `spearman` (None for fewer than two known pairs), `pairs`, `covered`, `coverage`.
    """
    row_of = _rows_without_case(vectors, len(vectors))
    judgements, cosines = [], []
    lines = [(number, line) for number, line in enumerate(read_lines(file), 1) if line and line[0] != "#"]
    if not lines:
        raise ProlepsisError("There is no pair of words.", where=file, remedy=_A_PAIR)
    for number, line in lines:
        first, second, judgement = _similarity_line(line, file, number)
        if first in row_of and second in row_of:
            judgements.append(judgement)
            pair = vectors.unit_vectors[[row_of[first], row_of[second]]]
            cosines.append(float(pair[0] @ pair[1]))
    return {
        "spearman": _spearman(judgements, cosines),
        "pairs": len(lines),
        "covered": len(judgements),
        "coverage": len(judgements) / len(lines) if lines else 0.0,
    }


def score_analogies(vectors: WordVectors, file: Path, restrict_to: int) -> dict[str, Any]:
    """How often the word nearest to `b - a + c` (3CosAdd on unit vectors) is `d`, for questions `a b c d`.

    Args:
        file: a question a line, in sections that begin with `: name`.
        restrict_to: only this many most frequent words are asked about and are possible answers.

    Returns:
        `accuracy` over the questions whose four words are known (None if there is none), `questions`,
        `answered`, `coverage`, `restricted_to`, and `sections`, the same for each.
    """
    questions = read_questions(file)
    row_of = _rows_without_case(vectors, restrict_to)
    units = vectors.unit_vectors[:restrict_to]
    # Words that differ in case only are one answer: rows of the same form have the same number.
    forms = np.array([row_of[word.upper()] for word in vectors.words[:restrict_to]], dtype=np.int64)
    sections = {}
    for name, words in questions.items():
        rows = [[row_of[w] for w in question] for question in words if all(w in row_of for w in question)]
        correct = _count_correct(units, forms, np.array(rows, dtype=np.int64).reshape(-1, 4))
        sections[name] = _accuracy(correct, len(rows), len(words))
    correct, answered, asked = (
        sum(section[key] for section in sections.values()) for key in ("correct", "answered", "questions")
    )
    return {**_accuracy(correct, answered, asked), "restricted_to": len(units), "sections": sections}


def score_outliers(vectors: WordVectors, path: Path) -> dict[str, Any]:
    """How often the word that does not belong to a group is the least similar to the rest.

    Camacho-Collados and Navigli 2016: leaving out the outlier should leave the group most compact. So the
    outlier is taken to be the word whose cosines with all others have the smallest sum.

    Args:
        path: a folder of groups or a file of analogies, as `read_outlier_groups` takes it.

    Returns:
        `accuracy` over the questions (a group and one outlier) whose outlier and two or more of the group are
        known, None if there is none; `position`, the mean share of the group that is more similar to the rest
        than the outlier, 1 where that is right; `questions`, `answered`, `coverage`.

    Raises:
        ProlepsisError: there is no group, or a file is none.
    """
    row_of = _rows_without_case(vectors, len(vectors))
    questions = 0
    positions: list[float] = []
    for group in read_outlier_groups(path):
        questions += len(group.outliers)
        members = [row_of[word] for word in group.words if word in row_of]
        known = [row_of[word] for word in group.outliers if word in row_of]
        positions += [_outlier_position(vectors, members, row) for row in known if len(members) >= 2]
    return {
        "accuracy": float(np.mean([position == 1.0 for position in positions])) if positions else None,
        "position": float(np.mean(positions)) if positions else None,
        "questions": questions,
        "answered": len(positions),
        "coverage": len(positions) / questions if questions else 0.0,
    }


def neighbour_table(vectors: WordVectors, words: list[str], count: int) -> pl.DataFrame:
    """The nearest whole words of each of `words` that has a vector.

    Returns:
        A row per word: `word`, `language`, `occurrences`, `neighbours` (nearest first, with their cosines, as
        text) and `nearest_cosine`.
    """
    rows = []
    for word in words:
        if word in vectors.rows:
            row, neighbours = vectors.rows[word], vectors.neighbours(word, count)
            text = ", ".join(f"{neighbour} {cosine:.2f}" for neighbour, cosine in neighbours)
            nearest = neighbours[0][1] if neighbours else None
            rows.append((word, vectors.languages[row], int(vectors.counts[row]), text, nearest))
    schema = {
        "word": pl.String,
        "language": pl.String,
        "occurrences": pl.Int64,
        "neighbours": pl.String,
        "nearest_cosine": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def frequent_words(vectors: WordVectors, per_language: int, min_letters: int) -> list[str]:
    """The most frequent whole words of each language that have `min_letters` or more.

    Short words are mostly function words, whose place tells a reader little.
    """
    chosen: Mapping[str | None, list[str]] = {
        language: [] for language in sorted(set(vectors.languages), key=str)
    }
    for word, language, is_whole in zip(vectors.words, vectors.languages, vectors.is_whole_word, strict=True):
        if is_whole and len(word) >= min_letters and len(chosen[language]) < per_language:
            chosen[language].append(word)
    return [word for words in chosen.values() for word in words]


def principal_plane(vectors: WordVectors, words: list[str]) -> NDArray[np.float64]:
    """The words' unit vectors in the plane of their two principal components, float64 `[len(words), 2]`."""
    points = vectors.unit_vectors[[vectors.rows[word] for word in words]].astype(np.float64)
    centred = points - points.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    # An axis has no direction of its own; with its largest entry positive, equal vectors give equal pictures.
    plane = axes[:2]
    plane *= np.sign(plane[np.arange(len(plane)), np.abs(plane).argmax(axis=1)])[:, None]
    return np.asarray(centred @ plane.T)


def _find_package(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except ModuleNotFoundError:  # a package that should hold it is not there
        return None


def _rows_without_case(vectors: WordVectors, limit: int) -> dict[str, int]:
    """The first, hence most frequent, row of each upper-cased word among the first `limit`."""
    rows: dict[str, int] = {}
    for row, word in enumerate(vectors.words[:limit]):
        rows.setdefault(word.upper(), row)
    return rows


def _similarity_line(line: str, file: Path, number: int) -> tuple[str, str, float]:
    try:
        first, second, judgement = line.split("\t")
        if math.isfinite(float(judgement)):
            return first.upper(), second.upper(), float(judgement)
    except ValueError:
        pass
    raise ProlepsisError(
        f"This is not a pair of words and a judgement: {line!r}",
        where=f"{file}, line {number}",
        remedy=_A_PAIR,
    )


def _outlier_position(vectors: WordVectors, members: list[int], outlier: int) -> float:
    units = vectors.unit_vectors[[*members, outlier]].astype(np.float64)
    # A word's cosine with itself is 1 for all, and changes no order.
    sums = units @ units.sum(axis=0)
    return float((sums[:-1] > sums[-1]).mean())


def _count_correct(units: NDArray[np.float32], forms: NDArray[np.int64], questions: NDArray[np.int64]) -> int:
    correct = 0
    for start in range(0, len(questions), _QUESTIONS_AT_ONCE):
        asked = questions[start : start + _QUESTIONS_AT_ONCE]
        a, b, c, expected = asked.T
        cosines = (units[b] - units[a] + units[c]) @ units.T
        for given in (a, b, c):
            cosines[forms[given][:, None] == forms] = -np.inf
        correct += int((forms[cosines.argmax(axis=1)] == forms[expected]).sum())
    return correct


def _accuracy(correct: int, answered: int, questions: int) -> dict[str, Any]:
    return {
        "accuracy": correct / answered if answered else None,
        "correct": correct,
        "answered": answered,
        "questions": questions,
        "coverage": answered / questions if questions else 0.0,
    }


def _spearman(first: list[float], second: list[float]) -> float | None:
    """Pearson's correlation of the ranks, ties at their mean rank; None where it is not defined."""
    ranks = [pl.Series(values).rank("average").to_numpy() for values in (first, second)]
    if len(first) < 2 or any(np.ptp(values) == 0.0 for values in ranks):
        return None
    return float(np.corrcoef(ranks)[0, 1])
