"""The chapter on words: corpus, tokenizers, word vectors, BERT."""

from collections.abc import Iterator, Mapping, Sequence
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
    Grid,
    Section,
    Table,
    Text,
    Tile,
)

CHAPTER = "Words"
_EXAMPLES_PER_REASON = 2
_MOST_GROUPS = 30
_UNDETERMINED = "und"
_ALL_LANGUAGES = "all"
_ENTROPY = "unigram_entropy"
_MASKED_LOSS = "masked_loss"
_HIDDEN = (
    "Tokens were hidden, and the network told what they had been. A masked loss as high as the entropy "
    "of the tokens' frequencies knows these and nothing else; what is below it was learnt from context."
)
_RESTORED = (
    "Texts were corrupted, and a decoder restored them token by token. It has read the true tokens before "
    "each one, so its loss says less about the network that read the corrupted text."
)
_MEASURES = {"spearman": "Spearman", "accuracy": "accuracy", "position": "position of the outlier"}


def describe_corpus(
    corpus_waterfall: pl.DataFrame,
    corpus_waterfall_by_group: pl.DataFrame,
    dropped_examples: pl.DataFrame,
    corpus_files: pl.DataFrame,
    set_aside_files: pl.DataFrame,
    corpus_metrics: dict[str, Any],
) -> Section:
    """What came in and what each filter dropped of it, by language and source, and with examples."""
    steps = corpus_waterfall.sort("step")
    first, last = steps.row(0, named=True), steps.row(-1, named=True)
    read, kept = first["documents_before"], last["documents_after"]
    blocks: list[Block] = [
        BarChart(
            [_waterfall_bar(row, read) for row in steps.iter_rows(named=True)],
            "Documents left after each step; hatched is what the step dropped.",
        ),
        _waterfall_table(steps),
        *(_waterfalls_of(corpus_waterfall_by_group, by) for by in ("language", "source")),
        Details("Examples of what was dropped", [_examples_table(dropped_examples)]),
        Details("The files", [f.table(corpus_files)]),
    ]
    if len(set_aside_files):
        blocks.append(f.table(set_aside_files, "Files that could not be read were set aside:"))
    else:
        blocks.append(Text("Every file could be read."))
    blocks.append(Details("All figures of the corpus", [f.figures(corpus_metrics)]))
    note = f"of {f.number(read)} read, {f.size(last['bytes_after'])}"
    return Section(
        CHAPTER,
        "corpus",
        "The corpus",
        "Raw files, cleaned, identified, filtered and deduplicated; nothing is dropped without a reason.",
        blocks,
        (Tile("documents kept", f.number(kept), note),),
    )


def _examples_table(examples: pl.DataFrame) -> Table:
    """A few of the dropped documents of every reason."""
    shown = examples.group_by("filter", "reason", maintain_order=True).head(_EXAMPLES_PER_REASON)
    return f.table(shown.select("filter", "reason", "score", "excerpt", "language", "source"))


def _waterfalls_of(waterfalls: pl.DataFrame, by: str) -> Details:
    """A row for each language or source: its documents, the share that each step dropped, what is left."""
    own = waterfalls.filter(by=by)
    identified = own.filter(pl.col("group") != _UNDETERMINED)
    own = identified if identified.height else own
    steps = dict(own.select("step", "filter").unique().sort("step").iter_rows())
    largest = own.group_by("group").agg(pl.col("documents_before").max().alias("size"))
    groups = largest.sort("size", "group", descending=[True, False])["group"].head(_MOST_GROUPS)
    rows = []
    for group in groups:
        of_step = {row["step"]: row for row in own.filter(group=group).iter_rows(named=True)}
        before = max(row["documents_before"] for row in of_step.values())
        after = of_step[max(of_step)]["documents_after"] if max(of_step) == max(steps) else 0
        dropped = {step: row["documents_before"] - row["documents_after"] for step, row in of_step.items()}
        rows.append(
            (
                Cell(group),
                Cell(f.number(before)),
                *(Cell(_share(dropped.get(step), before)) for step in steps),
                Cell(f.percent(after / max(before, 1)), share=after / max(before, 1)),
            )
        )
    # A step may be named as the groups are: "language".
    columns = (f"by {by}", "documents", *(f.words(name) for name in steps.values()), "kept")
    left_out = own["group"].n_unique() - len(groups)
    note = f" The {left_out} smaller ones are not shown." if left_out else ""
    caption = f"The share of documents that each step dropped, by {by}.{note}"
    return Details(f"By {by}", [Table(columns, rows, frozenset(columns[1:]), caption)])


def _share(part: int | None, whole: int) -> str:
    return f.percent(None if part is None else part / max(whole, 1))


def describe_tokenizers(
    metrics: dict[str, Any], tables: dict[str, Any], sweeps: dict[str, Any], tokenizer_comparison: bytes
) -> Section:
    """The tokenizers side by side, over all languages and for each, and at other vocabulary sizes.

    Args:
        metrics, tables, sweeps: the tokenization's metrics, table per language and table per vocabulary size,
            by the tokenizer's name.
        tokenizer_comparison: a picture of the sweeps.
    """
    blocks: list[Block] = [
        f.comparison(metrics, "figure", "On the validation split, which the tokenizers have not seen:")
    ]
    fertility = _by_language(tables, "fertility")
    if fertility is not None:
        blocks.append(fertility)
    blocks.append(
        f.picture(
            tokenizer_comparison,
            "tokens per word and bytes per token against the vocabulary size",
            "The same tokenizers, trained on the same text, at other vocabulary sizes.",
        )
    )
    blocks.append(Details("Vocabulary sizes", [_sizes_table(sweeps)]))
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
        CHAPTER,
        "tokenizers",
        "Tokenizers",
        "Fewer tokens per word and more bytes per token mean shorter sequences; a round trip that is not "
        "exact means that text is lost. Where words are whole, a rare one is a single unknown token.",
        blocks,
        tiles,
    )


def _sizes_table(sweeps: Mapping[str, pl.DataFrame]) -> Table:
    """Over all languages, a row for each tokenizer and vocabulary size."""
    rows = [
        table.filter(language=_ALL_LANGUAGES).with_columns(pl.lit(f.words(name)).alias("tokenizer"))
        for name, table in sweeps.items()
    ]
    figures = ("fertility", "bytes_per_token", "characters_per_token", "renyi_efficiency", "vocabulary_use")
    columns = ("tokenizer", "vocabulary_size", "num_ids", *figures, "unknown_rate", "exact_round_trip")
    return f.table(pl.concat(rows).select(columns))


def describe_word_vectors(
    word2vec_metrics: dict[str, Any],
    word2vec_curves: list[Any],
    word_neighbours: pl.DataFrame,
    word_map: bytes,
) -> Section:
    """The scores on published sets with their coverage, nearest words, and a map of words."""
    scores = list(_scored_sets(word2vec_metrics))
    blocks: list[Block] = [
        _scores_table(scores),
        f.table(
            word_neighbours,
            "The nearest words, each with its cosine similarity:",
            ["word", "language", "occurrences", "neighbours"],
        ),
        f.picture(word_map, "a map of word vectors", "Words that lie near each other were used alike."),
        Details(
            "Training, and all figures",
            [
                training.chart(word2vec_curves, "loss"),
                f.figures(word2vec_metrics),
            ],
        ),
    ]
    tiles = [
        Tile(f"{f.words(name.rpartition('.')[2])}: Spearman", f.number(values["spearman"]), _covered(values))
        for name, values in scores
        if values.get("spearman") is not None
    ]
    return Section(
        CHAPTER,
        "word-vectors",
        "Word vectors",
        _how_words_were_learnt(word2vec_metrics.get("model"), word2vec_metrics.get("output")),
        blocks,
        tiles[:1],
    )


def _how_words_were_learnt(model: str | None, output: str | None) -> str:
    """One sentence on the model and its output; figures of earlier versions name neither."""
    if model is None or output is None:
        return "A word's vector learns to predict the words around it."
    name = {"skip_gram": "Skip-gram", "cbow": "CBOW"}[model]
    learner, known = {
        "skip_gram": ("a word's vector", "the words around it"),
        "cbow": ("the mean of the vectors around a word", "that word"),
    }[model]
    lesson = {
        "negative_sampling": f"to tell {known} from words drawn at random",
        "hierarchical_softmax": f"the branches that lead to {known} in a tree of all words",
    }[output]
    return f"{name} with {f.words(output)}: {learner} learns {lesson}."


def describe_bert(bert_metrics: dict[str, Any], bert_curves: list[Any]) -> Section:
    """Every loss and accuracy in training and validation; the masked loss beside the tokens' entropy."""
    entropy = _ENTROPY if _ENTROPY in training.names(bert_curves) else None
    charts = [
        training.chart(bert_curves, quantity, entropy if quantity == _MASKED_LOSS else None)
        for quantity in training.quantities(bert_curves)
    ]
    return Section(
        CHAPTER,
        "bert",
        "BERT",
        _RESTORED if bert_metrics.get(_ENTROPY) is None else _HIDDEN,
        [Grid(charts), Details("All figures of BERT", [f.figures(bert_metrics)])],
        _bert_tiles(bert_metrics),
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


def _scored_sets(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every set that was scored, wherever it lies: what tells of its coverage. Its own parts are left out."""
    for name, values in metrics.items():
        if isinstance(values, Mapping):
            if "coverage" in values:
                yield f"{prefix}{name}", values
            else:
                yield from _scored_sets(values, f"{prefix}{name}.")


def _scores_table(scores: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    """A row for each score of each set."""
    rows = [
        (
            Cell(f.words(name)),
            Cell(title),
            Cell(f.number(values[measure]) if measure == "spearman" else f.percent(values[measure])),
            Cell(f.percent(values["coverage"])),
            Cell(_covered(values)),
        )
        for name, values in scores
        for measure, title in _MEASURES.items()
        if measure in values
    ]
    columns = ("set", "measure", "score", "coverage", "known to the vocabulary")
    return Table(columns, rows, frozenset({"score", "coverage"}), "Scores on published sets:")


def _covered(values: Mapping[str, Any]) -> str:
    known, asked = (
        next((values[key] for key in keys if key in values), None)
        for keys in (("covered", "answered"), ("pairs", "questions"))
    )
    return f"{f.number(known)} of {f.number(asked)}"


def _bert_tiles(metrics: Mapping[str, Any]) -> list[Tile]:
    loss, entropy = metrics.get(f"validation_{_MASKED_LOSS}"), metrics.get(_ENTROPY)
    tiles = []
    if loss is not None:
        note = "nats" if entropy is None else f"nats; frequencies alone give {f.number(entropy)}"
        tiles.append(Tile("BERT: masked loss", f.number(loss), note))
    return tiles + [
        Tile(f"BERT: {f.words(name.removeprefix('validation_'))}", f.percent(value), _beside(name, metrics))
        for name, value in metrics.items()
        if name.startswith("validation_") and name.endswith("accuracy")
    ]


def _beside(accuracy: str, metrics: Mapping[str, Any]) -> str:
    """What an accuracy is to be compared with, where the run tells it."""
    random = metrics.get("validation_random_next_share")
    if accuracy != "validation_next_sentence_accuracy" or random is None:
        return "validation documents"
    return f"validation documents; always the same answer gives {f.percent(max(random, 1 - random))}"
