"""A labelled task in memory and as a table, checked before anything is trained on it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from prolepsis.errors import ProlepsisError
from prolepsis.text.downstream.config import SPLITS, TEST, TRAIN, VALIDATION, Kind

EXAMPLES_SCHEMA = pl.Schema(
    {
        "task": pl.String(),
        "kind": pl.String(),
        "split": pl.String(),
        "example": pl.Int64(),
        "source": pl.String(),
        "text": pl.String(),
        "second_text": pl.String(),
        "words": pl.List(pl.String()),
        "labels": pl.List(pl.String()),
        "answer_starts": pl.List(pl.Int64()),
    }
)


@dataclass(frozen=True, slots=True)
class Example:
    """A text and what is to be said of it.

    Attributes:
        source: where it comes from, for a person: a file and its row, or a document.
        labels: one; for tagging one per word; for a question all answers that are accepted. Empty where the
            truth is not known.
        text: the text, the first of a pair, or the context of a question.
        second_text: the second of a pair, or the question.
        words: of a sentence to be tagged; `text` is then empty.
        answer_starts: for each answer the character of `text` with which it begins.
    """

    source: str
    labels: tuple[str, ...] = ()
    text: str = ""
    second_text: str = ""
    words: tuple[str, ...] = ()
    answer_starts: tuple[int, ...] = ()


@dataclass(frozen=True)
class DownstreamTask:
    """A labelled task: `labels` is its set of labels, in the order of the classes (empty for questions)."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    splits: Mapping[str, Sequence[Example]]


def make_task(
    name: str,
    kind: Kind,
    splits: Mapping[str, Sequence[Example]],
    labels: Sequence[str] | None = None,
) -> DownstreamTask:
    """A task of the three splits.

    Args:
        labels: the set of labels; None: those of the training split, sorted.

    Raises:
        ProlepsisError: a split is empty, a text is empty, there are fewer than two labels or one
            twice, or a label is not in the set.
    """
    for split in SPLITS:
        examples = splits.get(split, ())
        if not examples:
            raise ProlepsisError(
                f"The split {split!r} of the task {name!r} is empty.",
                where=f"downstream.tasks.{name}",
                remedy="give it a file with examples, or more of the training examples for validation",
            )
        for example in examples:
            _require_text(name, kind, example)
    if kind == "question_answering":
        return DownstreamTask(name, kind, (), {split: splits[split] for split in SPLITS})
    learnt = sorted({label for example in splits[TRAIN] for label in example.labels})
    known = tuple(labels or learnt)
    if len(set(known)) < len(known):
        repeated = next(label for i, label in enumerate(known) if label in known[:i])
        raise ProlepsisError(
            f"The label {repeated!r} stands twice among those of the task {name!r}.",
            where=f"downstream.tasks.{name}",
            remedy="list each label once",
        )
    if len(learnt) < 2:
        raise ProlepsisError(
            f"The task {name!r} has only the label {learnt[0]!r}: there is nothing to tell apart.",
            where=f"downstream.tasks.{name}, split {TRAIN!r}",
            remedy="give it training examples of at least two labels",
        )
    for split in SPLITS:
        for example in splits[split]:
            _require_known_labels(name, known, split, example)
    return DownstreamTask(name, kind, known, {split: splits[split] for split in SPLITS})


def set_aside(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Divides examples in two, the second with about `share` of them.

    Which go where depends on their text, not on their order; those with the same text stay together.
    """
    kept: list[Example] = []
    aside: list[Example] = []
    for example in examples:
        text = example.text or " ".join(example.words)
        (aside if uniform(seed, text) < share else kept).append(example)
    return kept, aside


def uniform(seed: int, text: str) -> float:
    """A number in [0, 1) that depends on the seed and the text only."""
    digest = hashlib.blake2b(f"{seed} {text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


def examples_table(tasks: Sequence[DownstreamTask]) -> pl.DataFrame:
    """All examples of all tasks, a row each (`EXAMPLES_SCHEMA`)."""
    rows = [
        (
            *(task.name, task.kind, split, number, example.source),
            *(example.text or None, example.second_text or None, list(example.words)),
            *(list(example.labels), list(example.answer_starts)),
        )
        for task in tasks
        for split in SPLITS
        for number, example in enumerate(task.splits[split])
    ]
    return pl.DataFrame(rows, schema=EXAMPLES_SCHEMA, orient="row")


def tasks_of(
    examples: pl.DataFrame, label_sets: Mapping[str, Sequence[str] | None] | None = None
) -> list[DownstreamTask]:
    """The tasks of a table that `examples_table` made.

    Args:
        label_sets: by the task's name, as in `make_task`.
    """
    tasks = []
    for (name, kind), rows in examples.group_by(["task", "kind"], maintain_order=True):
        splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
        for row in rows.sort("example").iter_rows(named=True):
            splits[row["split"]].append(
                Example(
                    source=row["source"],
                    labels=tuple(row["labels"]),
                    text=row["text"] or "",
                    second_text=row["second_text"] or "",
                    words=tuple(row["words"]),
                    answer_starts=tuple(row["answer_starts"]),
                )
            )
        label_set = (label_sets or {}).get(str(name))
        tasks.append(make_task(str(name), kind, splits, label_set))
    return tasks


def _require_text(name: str, kind: Kind, example: Example) -> None:
    is_pair = kind in ("sequence_pair_classification", "question_answering")
    if kind == "token_tagging":
        is_whole = bool(example.words) and all(word.strip() for word in example.words)
    else:
        is_whole = bool(example.text.strip()) and (bool(example.second_text.strip()) or not is_pair)
    if not is_whole:
        raise ProlepsisError(
            f"An example of the task {name!r} has an empty {'word' if kind == 'token_tagging' else 'text'}.",
            where=example.source,
            remedy="fill it in, or take the row out",
        )
    expected = len(example.words) if kind == "token_tagging" else 1
    if kind != "question_answering" and len(example.labels) != expected:
        raise ProlepsisError(
            f"An example of the task {name!r} has {len(example.labels)} labels, not {expected}.",
            where=example.source,
            remedy="give one label to each text, or to each word where words are tagged",
        )


def _require_known_labels(name: str, known: Sequence[str], split: str, example: Example) -> None:
    unknown = [label for label in example.labels if label not in known]
    if unknown:
        shown = ", ".join(known[:10]) + (", …" if len(known) > 10 else "")
        raise ProlepsisError(
            f"The label {unknown[0]!r} in the split {split!r} of the task {name!r} is not one of its labels: "
            f"{shown}.",
            where=example.source,
            remedy="mend the label, or add training examples that have it",
        )


__all__ = [
    "EXAMPLES_SCHEMA",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "DownstreamTask",
    "Example",
    "examples_table",
    "make_task",
    "set_aside",
    "tasks_of",
    "uniform",
]
