"""Tokenizers of several vocabulary sizes side by side: trained, measured and drawn."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from prolepsis.text.tokenizers.evaluation import ALL_LANGUAGES, SCHEMA, evaluate_many
from prolepsis.text.tokenizers.tokenizer import Tokenizer
from prolepsis.text.tokenizers.trainer import WordTrainer
from prolepsis.text.tokenizers.words import Batches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZES = (4_000, 8_000, 16_000, 32_000)

SWEEP_SCHEMA: dict[str, type[pl.DataType]] = {
    "tokenizer": pl.String,
    "vocabulary_size": pl.Int64,
    "num_ids": pl.Int64,
    **SCHEMA,
}

_DRAWN = {"fertility": "tokens per word", "bytes_per_token": "bytes per token"}
_LANGUAGES_DRAWN = 5
# The colours of the report.
_COLOURS = ("#0b6b68", "#c2571a", "#4655b8", "#a12d6b", "#7d8a12", "#5e6672", "#8b5a2b", "#2b8ab0")


def sweep(
    trainers: Mapping[str, Any],
    texts: Batches,
    documents: Iterable[pl.DataFrame],
    sizes: Sequence[int] = SIZES,
) -> pl.DataFrame:
    """Trains every tokenizer at every size and measures them all on the same documents.

    Words are counted once for each trainer. `unigram` learns each size from the start; the others learn once,
    for the largest size, as the smaller ones are the beginning of it. A trainer that does not learn from
    counted words reads the texts for each.

    Args:
        trainers: by the names that the table is to have; a trainer's own vocabulary size does not matter.
        texts: to train on, which may be read any number of times.
        documents: to measure on, frames with `text` and `language`, read once.
        sizes: numbers of ids asked for.

    Returns:
        The columns of `SWEEP_SCHEMA`: a row for each tokenizer, size and language, with the figures of
        `evaluation.evaluate`. `num_ids` is less than `vocabulary_size` where the text does not give as many.

    Raises:
        ProlepsisError: a size is too small for a trainer.
    """
    tokenizers = {
        (name, size): tokenizer
        for name, trainer in trainers.items()
        for size, tokenizer in zip(sizes, _train(trainer, texts, sizes), strict=True)
    }
    tables = evaluate_many(tokenizers, documents)
    rows = [
        table.select(
            pl.lit(name).alias("tokenizer"),
            pl.lit(size, pl.Int64).alias("vocabulary_size"),
            pl.lit(tokenizers[name, size].vocabulary_size, pl.Int64).alias("num_ids"),
            pl.all(),
        )
        for (name, size), table in tables.items()
    ]
    return pl.concat([pl.DataFrame(schema=SWEEP_SCHEMA), *rows])


def draw_sweep(table: pl.DataFrame) -> "Figure":
    """Tokens per word and bytes per token against the vocabulary size, a column of panels for each language.

    Args:
        table: as `sweep` gives it. Of many languages, the ones with most documents are drawn.
    """
    from matplotlib.figure import Figure

    languages = _most_frequent_languages(table)
    names = table["tokenizer"].unique(maintain_order=True).to_list()
    figure = Figure(figsize=(1.4 + 2.4 * len(languages), 5.6), layout="constrained")
    panels = figure.subplots(len(_DRAWN), len(languages), sharex=True, squeeze=False)
    for row, column in zip(panels, _DRAWN, strict=True):
        for axes, language in zip(row, languages, strict=True):
            of_language = table.filter(pl.col("language") == language)
            _draw_lines(axes, of_language, column, names)
    for row, label in zip(panels, _DRAWN.values(), strict=True):
        row[0].set_ylabel(label)
    for axes, language in zip(panels[0], languages, strict=True):
        axes.set_title("all languages" if language == ALL_LANGUAGES else language, loc="left", fontsize=10)
    for axes in panels[-1]:
        _name_sizes(axes, sorted(set(table["vocabulary_size"])))
    figure.supxlabel("vocabulary size", fontsize=10)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(names), frameon=False)
    return figure


def _train(trainer: Any, texts: Batches, sizes: Sequence[int]) -> list[Tokenizer]:
    """A tokenizer for each size."""
    if isinstance(trainer, WordTrainer):
        return trainer.train_many(trainer.count(texts), sizes)
    configs = [trainer.config.model_copy(update={"vocabulary_size": size}) for size in sizes]
    return [type(trainer)(config).train(texts) for config in configs]


def _most_frequent_languages(table: pl.DataFrame) -> list[str]:
    """All languages together first, unless there is only one."""
    documents = table.group_by("language").agg(pl.col("num_documents").max())
    ranked = documents.sort("num_documents", "language", descending=[True, False])["language"].to_list()
    languages = [language for language in ranked if language != ALL_LANGUAGES]
    if len(languages) == 1:
        return languages
    return [ALL_LANGUAGES, *languages[:_LANGUAGES_DRAWN]]


def _draw_lines(axes: "Axes", table: pl.DataFrame, column: str, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        rows = table.filter(pl.col("tokenizer") == name).sort("vocabulary_size")
        axes.plot(
            rows["vocabulary_size"],
            rows[column].cast(pl.Float64).fill_null(float("nan")),
            color=_COLOURS[number % len(_COLOURS)],
            marker="o",
            markersize=4,
            linewidth=1.8,
            label=name,
        )
    axes.grid(axis="y", color="#e4e1d9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.margins(x=0.08, y=0.15)


def _name_sizes(axes: "Axes", sizes: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [f"{size / 1000:g}k" if size >= 1000 else str(size) for size in sizes])
    axes.minorticks_off()
