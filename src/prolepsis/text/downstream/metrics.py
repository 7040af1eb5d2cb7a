"""Figures from truth and predictions alone: accuracy, F1, Matthews correlation, and those of SQuAD."""

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from prolepsis.text.downstream.config import Kind

NOTHING = ""
"""What stands where no prediction was made: never right."""

MAIN_METRIC: dict[Kind, str] = {
    "sequence_classification": "accuracy",
    "sequence_pair_classification": "accuracy",
    "token_tagging": "accuracy",
    "question_answering": "f1",
}

PER_CLASS_SCHEMA = pl.Schema(
    {
        "label": pl.String(),
        "support": pl.Int64(),
        "predicted": pl.Int64(),
        "precision": pl.Float64(),
        "recall": pl.Float64(),
        "f1": pl.Float64(),
    }
)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = set(string.punctuation)

Labels = Sequence[tuple[str, ...]]


def measure(kind: Kind, truth: Labels, predicted: Labels) -> dict[str, float]:
    """The figures of one kind of task.

    Args:
        truth: for each example its label, the labels of its words, or its accepted answers.
        predicted: likewise, with one answer for a question.

    Returns:
        `accuracy` (of words, where words are tagged), `macro_f1`, and `matthews` where the truth has two
        classes; `exact_match` and `f1` for questions. All are shares, but `matthews` is from -1 to 1.
    """
    if kind == "question_answering":
        pairs = [(answers, said[0]) for answers, said in zip(truth, predicted, strict=True)]
        return {
            "exact_match": float(np.mean([_best_match(answers, said) for answers, said in pairs])),
            "f1": float(np.mean([_best_f1(answers, said) for answers, said in pairs])),
        }
    counts = Confusion.of(_flat(truth), _flat(predicted))
    figures = {"accuracy": counts.accuracy, "macro_f1": counts.macro_f1}
    if len(set(_flat(truth))) == 2:
        figures["matthews"] = counts.matthews
    return figures


def per_class(truth: Labels, predicted: Labels) -> pl.DataFrame:
    """A row for each label that occurs in truth or predictions (`PER_CLASS_SCHEMA`); nulls where 0 / 0."""
    counts = Confusion.of(_flat(truth), _flat(predicted))
    rows = []
    for place, label in enumerate(counts.labels):
        if label == NOTHING:
            continue
        right = int(counts.matrix[place, place])
        support, said = int(counts.matrix[place].sum()), int(counts.matrix[:, place].sum())
        precision = right / said if said else None
        recall = right / support if support else None
        rows.append((label, support, said, precision, recall, 2 * right / (support + said)))
    return pl.DataFrame(rows, schema=PER_CLASS_SCHEMA, orient="row")


class Confusion:
    """How often which label was said of which: `matrix[true, predicted]`, over `labels` in order."""

    def __init__(self, labels: Sequence[str], matrix: NDArray[np.int64]) -> None:
        self.labels = labels
        self.matrix = matrix

    @classmethod
    def of(cls, truth: Sequence[str], predicted: Sequence[str]) -> "Confusion":
        labels = sorted({*truth, *predicted})
        place = {label: number for number, label in enumerate(labels)}
        matrix = np.zeros((len(labels), len(labels)), np.int64)
        np.add.at(matrix, ([place[label] for label in truth], [place[label] for label in predicted]), 1)
        return cls(labels, matrix)

    @property
    def accuracy(self) -> float:
        return float(np.trace(self.matrix) / self.matrix.sum())

    @property
    def macro_f1(self) -> float:
        """The mean of F1 over the labels that occur in truth or predictions."""
        is_label = np.array([label != NOTHING for label in self.labels])
        totals = self.matrix.sum(axis=0) + self.matrix.sum(axis=1)
        return float((2 * np.diag(self.matrix) / totals)[is_label].mean())

    @property
    def matthews(self) -> float:
        """Matthews' correlation, for any number of classes (Gorodkin 2004); 0 where one side is constant."""
        true, said = self.matrix.sum(axis=1).astype(float), self.matrix.sum(axis=0).astype(float)
        total = float(self.matrix.sum())
        covariance = np.trace(self.matrix) * total - true @ said
        spread = (total**2 - true @ true) * (total**2 - said @ said)
        return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0


def normalised_answer(text: str) -> str:
    """An answer as SQuAD's official evaluation compares it: no case, punctuation, articles, extra spaces."""
    bare = "".join(character for character in text.lower() if character not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def answer_f1(answer: str, said: str) -> float:
    """The F1 of the words that two answers share, each as often as it occurs in both."""
    true, predicted = normalised_answer(answer).split(), normalised_answer(said).split()
    common = (Counter(true) & Counter(predicted)).total()
    return 2 * common / (len(true) + len(predicted)) if common else 0.0


def _best_match(answers: tuple[str, ...], said: str) -> float:
    return float(any(normalised_answer(answer) == normalised_answer(said) for answer in answers))


def _best_f1(answers: tuple[str, ...], said: str) -> float:
    return max(answer_f1(answer, said) for answer in answers)


def _flat(labels: Labels) -> list[str]:
    return [label for example in labels for label in example]
