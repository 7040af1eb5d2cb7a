"""Tasks that need no labels of a person: passages of the corpus, and where they come from.

Passages for training and validation are cut from documents of the corpus' split `train`, those of the test
from `val`: the test is of documents that no pretraining has learnt from, and no document is in two splits.
"""

import logging

import polars as pl

from prolepsis.text.downstream.config import TEST, TRAIN, VALIDATION, CorpusTask, Sizes, TaskConfig
from prolepsis.text.downstream.tasks import DownstreamTask, Example, make_task, uniform

SECTIONS = ("opening", "end")
"""The first and the last third of a document; the middle one is like both."""
_LANGUAGE, _SECTION = "language", "section"
_THIRDS = (0, 2)
_MIN_DOCUMENTS = 10
_logger = logging.getLogger(__name__)


def corpus_task(name: str, config: TaskConfig, documents: pl.LazyFrame, seed: int) -> DownstreamTask | None:
    """Cuts passages out of documents (`id`, `text`, `language`, `split`).

    Which documents are taken, and which part of each, depends on the seed and their ids, not on their order.

    Returns:
        The task, or None where the corpus has too few documents that are long enough, or fewer than two
        languages to tell apart; the log says so.
    """
    corpus = config.corpus
    if corpus is None:
        raise ValueError(f"the task {name!r} is not made of the corpus")
    parts = 1 if corpus.made_of == _LANGUAGE else 3
    is_long_enough = pl.col("text").str.count_matches(r"\S+") >= corpus.words * parts
    frame = documents.filter(is_long_enough).select("id", "language", "split").collect()
    languages = _languages(frame) if corpus.made_of == _LANGUAGE else []
    lacking = _what_is_lacking(frame, corpus, languages)
    if lacking is not None:
        _logger.warning(
            "The task %r is left out: the corpus has %s. Write '%s: null' under downstream.tasks to leave it "
            "out yourself.",
            name,
            lacking,
            name,
        )
        return None
    drawn = _drawn(frame, name, seed)
    held_out, learnt = (drawn.filter(pl.col("split") == split) for split in ("val", "train"))
    groups = [pl.col("language") == language for language in languages] or [pl.lit(True)]
    sizes = corpus.examples
    parts_of_learnt = [_divided(learnt.filter(group), sizes, len(groups)) for group in groups]
    splits = {
        TRAIN: pl.concat(train for train, _ in parts_of_learnt),
        VALIDATION: pl.concat(validation for _, validation in parts_of_learnt),
        TEST: pl.concat(held_out.filter(group).head(max(1, sizes.test // len(groups))) for group in groups),
    }
    examples = {
        split: _passages(rows.sort("draw", "id"), documents, corpus, seed) for split, rows in splits.items()
    }
    return make_task(name, config.kind, examples, config.labels or languages or SECTIONS)


def _what_is_lacking(frame: pl.DataFrame, corpus: CorpusTask, languages: list[str]) -> str | None:
    fewest = min(len(frame.filter(split=split)) for split in ("train", "val"))
    if fewest < _MIN_DOCUMENTS:
        return f"only {fewest} documents of a split that are long enough for {corpus.words} words"
    if corpus.made_of == _LANGUAGE and len(languages) < 2:
        return f"only the language {languages[0]!r} to tell apart" if languages else "no two languages"
    return None


def _languages(frame: pl.DataFrame) -> list[str]:
    """Those of which both splits have enough documents."""
    counts = frame.group_by("language").agg(
        (pl.col("split") == split).sum().alias(split) for split in ("train", "val")
    )
    enough = counts.filter(pl.min_horizontal("train", "val") >= _MIN_DOCUMENTS)
    return sorted(enough["language"].drop_nulls().to_list())


def _drawn(frame: pl.DataFrame, name: str, seed: int) -> pl.DataFrame:
    draws = [uniform(seed, f"order {name} {document}") for document in frame["id"]]
    return frame.with_columns(draw=pl.Series(draws, dtype=pl.Float64)).sort("draw", "id")


def _divided(rows: pl.DataFrame, sizes: Sizes, num_groups: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One group's rows of training and of validation, in the ratio of the sizes where there are fewer."""
    both = rows.head(max(2, (sizes.train + sizes.validation) // num_groups))
    num_train = round(len(both) * sizes.train / (sizes.train + sizes.validation))
    return both[:num_train], both[num_train:]


def _passages(rows: pl.DataFrame, documents: pl.LazyFrame, corpus: CorpusTask, seed: int) -> list[Example]:
    """One of each document; only now are the texts read, and of these documents alone."""
    chosen = documents.filter(pl.col("id").is_in(rows["id"].implode())).select("id", "text").collect()
    texts = dict(chosen.iter_rows())
    return [
        _passage(document, texts[document].split(), language, corpus, seed)
        for document, language in rows.select("id", "language").iter_rows()
    ]


def _passage(document: str, words: list[str], language: str, corpus: CorpusTask, seed: int) -> Example:
    label = language
    first, stop = 0, len(words)
    if corpus.made_of == _SECTION:
        part = int(uniform(seed, f"part {document}") * len(SECTIONS))
        label = SECTIONS[part]
        first, stop = (len(words) * edge // 3 for edge in (_THIRDS[part], _THIRDS[part] + 1))
    room = stop - first - corpus.words
    start = first + int(uniform(seed, f"start {document}") * (room + 1))
    return Example(f"document {document}", (label,), text=" ".join(words[start : start + corpus.words]))
