"""The chapter on words: corpus, tokenizers, word vectors, BERT."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from prolepsis.report import curves as training
from prolepsis.report import formatting as f
from prolepsis.report.blocks import (
    Bar,
    BarChart,
    Block,
    Cell,
    Details,
    Section,
    Table,
    Text,
    Tile,
)

_EXAMPLES_PER_FILTER = 2
_ALL_LANGUAGES = "all"


def corpus_section(
    waterfall: pl.DataFrame, dropped: pl.LazyFrame, set_aside: pl.DataFrame, metrics: Mapping[str, Any]
) -> Section:
    """What came in, what each filter dropped, and what was dropped, for example."""
    steps = waterfall.sort("step")
    first, last = steps.row(0, named=True), steps.row(-1, named=True)
    read, kept = first["documents_before"], last["documents_after"]
    blocks: list[Block] = [
        BarChart(
            [_waterfall_bar(row, read) for row in steps.iter_rows(named=True)],
            "Documents left after each step; hatched is what the step dropped.",
        ),
        _waterfall_table(steps),
        Details("Examples of what was dropped", [examples_table(dropped)]),
    ]
    if len(set_aside):
        blocks.append(f.table(set_aside, "Files that could not be read were set aside:"))
    else:
        blocks.append(Text("Every file could be read."))
    blocks.append(Details("All figures of the corpus", [f.figures(metrics)]))
    note = f"of {f.number(read)} read, {f.size(last['bytes_after'])}"
    return Section(
        "corpus",
        "The corpus",
        "Raw files, cleaned, identified, filtered and deduplicated; nothing is dropped without a reason.",
        blocks,
        (Tile("documents kept", f.number(kept), note),),
    )


def examples_table(dropped: pl.LazyFrame, per_filter: int = _EXAMPLES_PER_FILTER) -> Table:
    """The first documents that each filter dropped, with its reason; only the texts' beginnings are read."""
    examples = (
        dropped.select("filter", "reason", "language", "source", pl.col("text").str.slice(0, 300))
        .group_by("filter", maintain_order=True)
        .head(per_filter)
        .collect()
    )
    return f.table(examples)


def tokenizers_section(
    metrics: Mapping[str, Mapping[str, Any]], tables: Mapping[str, pl.DataFrame]
) -> Section:
    """The tokenizers side by side, over all languages and for each."""
    blocks: list[Block] = [
        f.comparison(metrics, "figure", "On the validation split, which the tokenizers have not seen:")
    ]
    fertility = _by_language(tables, "fertility")
    if fertility is not None:
        blocks.append(fertility)
    blocks += [
        Details(f"{f.words(name)}: every language", [f.table(table)]) for name, table in tables.items()
    ]
    tiles = [
        Tile(
            f"{f.words(name)}: tokens per word",
            f.number(values["fertility"]),
            f"{f.number(values['vocabulary_size'])} entries",
        )
        for name, values in metrics.items()
    ]
    return Section(
        "tokenizers",
        "Tokenizers",
        "Fewer tokens per word and more bytes per token mean shorter sequences; a round trip that is not "
        "exact means that text is lost.",
        blocks,
        tiles,
    )


def word_vectors_section(
    metrics: Mapping[str, Any], curves: training.Curves, neighbours: pl.DataFrame, word_map: bytes
) -> Section:
    """Nearest words, a map of words, and the scores on published sets."""
    blocks: list[Block] = [
        f.figures(metrics, "Scores, and how much of each set the vocabulary covers:"),
        f.table(neighbours, "The nearest words by cosine similarity:"),
        f.picture(word_map, "a map of word vectors", "Words near each other were used alike."),
    ]
    losses = [name for name in training.names(curves) if "loss" in name]
    if losses:
        blocks.append(training.chart(curves, losses, y_label="loss", caption="Training"))
    return Section(
        "word-vectors",
        "Word vectors",
        "Skip-gram with negative sampling: a word's vector learns to tell the words around it from words "
        "drawn at random.",
        blocks,
        _word_vector_tiles(f.flatten(metrics)),
    )


def bert_section(metrics: Mapping[str, Any], curves: training.Curves) -> Section:
    """Loss against what word frequencies alone give, accuracies, and the figures."""
    entropy = metrics.get("unigram_entropy")
    names = [name for name in training.names(curves) if name != "unigram_entropy"]
    losses = [name for name in names if "loss" in name]
    accuracies = [name for name in names if "accuracy" in name]
    blocks: list[Block] = [
        training.chart(
            curves,
            losses,
            y_label="loss (nats)",
            references={"entropy of word frequencies": entropy} if entropy is not None else None,
            caption="A masked loss at the dashed line knows how frequent each token is and nothing else; "
            "what is below it was learnt from context.",
        )
    ]
    if accuracies:
        blocks.append(training.chart(curves, accuracies, y_label="accuracy", from_zero=True))
    blocks.append(Details("All figures of BERT", [f.figures(metrics)]))
    return Section(
        "bert",
        "BERT",
        "Tokens were hidden, and the network told what they had been.",
        blocks,
        _bert_tiles(metrics),
    )


def _waterfall_bar(row: Mapping[str, Any], total: int) -> Bar:
    before, after = row["documents_before"], row["documents_after"]
    lost = before - after
    text = f"{f.number(after)}  (−{f.number(lost)})" if lost else f.number(after)
    return Bar(f.words(row["filter"]), after / max(total, 1), text, lost=lost / max(total, 1))


def _waterfall_table(steps: pl.DataFrame) -> Table:
    rows = []
    for row in steps.iter_rows(named=True):
        documents = row["documents_before"] - row["documents_after"]
        num_bytes = row["bytes_before"] - row["bytes_after"]
        rows.append(
            (
                Cell(f.words(row["filter"])),
                Cell(f.number(row["documents_before"])),
                Cell(f.number(documents)),
                Cell(f.percent(documents / max(row["documents_before"], 1))),
                Cell(f.size(num_bytes)),
                Cell(f.percent(num_bytes / max(row["bytes_before"], 1))),
            )
        )
    columns = ("step", "documents before", "dropped", "share", "bytes dropped", "share of bytes")
    return Table(columns, rows, frozenset(columns[1:]))


def _by_language(tables: Mapping[str, pl.DataFrame], figure: str) -> Table | None:
    """One figure, a row per language, a column per tokenizer."""
    columns = {name: dict(table.select("language", figure).iter_rows()) for name, table in tables.items()}
    languages = sorted({language for column in columns.values() for language in column} - {_ALL_LANGUAGES})
    largest = f.best(value for column in columns.values() for value in column.values())
    if not languages or not largest:
        return None
    rows = [
        (
            Cell(language),
            *(
                Cell(f.number(value), share=(value or 0) / largest)
                for value in (column.get(language) for column in columns.values())
            ),
        )
        for language in languages
    ]
    names = [f.words(name) for name in columns]
    return Table(("language", *names), rows, frozenset(names), f"{f.words(figure)} by language:")


def _word_vector_tiles(flat: Mapping[str, Any]) -> list[Tile]:
    """The best word-similarity score of those that were measured."""
    scores = {key: value for key, value in flat.items() if "spearman" in key and isinstance(value, float)}
    if not scores:
        return []
    name = max(scores, key=lambda key: scores[key])
    return [Tile("word similarity (Spearman)", f.number(scores[name]), f.words(name))]


def _bert_tiles(metrics: Mapping[str, Any]) -> list[Tile]:
    tiles = []
    loss = metrics.get("validation_loss")
    if loss is not None:
        tiles.append(Tile("BERT: validation loss", f.number(loss), "nats, all objectives together"))
    for name, value in metrics.items():
        if name.startswith("validation_") and "accuracy" in name:
            tiles.append(Tile(f"BERT: {f.words(name.removeprefix('validation_'))}", f.percent(value)))
    return tiles
