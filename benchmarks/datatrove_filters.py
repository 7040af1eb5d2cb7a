"""Decisions and speed of the document filters here and in datatrove, on the same documents in one run.

    POLARS_MAX_THREADS=1 python benchmarks/datatrove_filters.py PYTHON_WITH_DATATROVE FOLDER [--books 3000]

PYTHON_WITH_DATATROVE is the interpreter of an environment of its own:

    python3.11 -m venv datatrove && datatrove/bin/pip install "datatrove[processing]==0.10.1" spacy

FOLDER holds `gutenberg_en_50mb.parquet`, cut here into documents of about 3.4 kB at borders of paragraphs,
and `wikipedia_vital_{en,es,fr}.parquet`, whose texts are documents. Both sides judge every document with each
filter alone, and with the four of FineWeb one after the other; datatrove gets this project's stop words for
Spanish and French. CPU seconds leave out what is loaded or compiled once.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from prolepsis import plugins
from prolepsis.text.corpus.filtering import DocumentFilter
from prolepsis.text.corpus.stop_words import STOP_WORDS

CHARACTERS = 3_400
BATCH_BYTES = 8_000_000

# The work of a name: filters one after the other, each with what is set here and there.
NO_SENTENCE_END = ({"require_sentence_end": False}, {"filter_no_terminal_punct": False})
Work = list[tuple[str, tuple[dict[str, Any], dict[str, Any]]]]
WORKS: dict[str, Work] = {
    "gopher_repetition": [("gopher_repetition", ({}, {}))],
    "gopher_quality": [("gopher_quality", ({}, {}))],
    "c4": [("c4", ({}, {}))],
    "c4 as FineWeb has it": [("c4", NO_SENTENCE_END)],
    "fineweb": [("fineweb", ({}, {}))],
    "c4_paragraphs": [("c4_paragraphs", ({}, {}))],
    "the four of FineWeb": [
        ("gopher_repetition", ({}, {})),
        ("gopher_quality", ({}, {})),
        ("c4", NO_SENTENCE_END),
        ("fineweb", ({}, {})),
    ],
}
# The one reason that has another code there.
REASONS = {"< 3 paragraphs": "too_few_paragraphs"}


def cut(text: str) -> Iterator[str]:
    """Documents of whole paragraphs, the first that make up the length."""
    document: list[str] = []
    length = 0
    for paragraph in text.split("\n\n"):
        document.append(paragraph)
        length += len(paragraph) + 2
        if length >= CHARACTERS:
            yield "\n\n".join(document)
            document, length = [], 0


def read_documents(folder: Path, num_books: int, num_entries: int) -> pl.DataFrame:
    books = pl.read_parquet(folder / "gutenberg_en_50mb.parquet")["text"]
    chunks = pl.Series([document for book in books for document in cut(book)])
    parts = [(every_nth(chunks, num_books), "en", "books")]
    for language in ("en", "es", "fr"):
        entries = pl.read_parquet(folder / f"wikipedia_vital_{language}.parquet")["text"]
        parts.append((every_nth(entries, num_entries), language, f"Wikipedia, {language}"))
    return pl.concat(
        texts.to_frame("text").with_columns(language=pl.lit(language), source=pl.lit(source))
        for texts, language, source in parts
    ).select(
        number=pl.int_range(pl.len(), dtype=pl.UInt64),
        id=pl.int_range(pl.len()).cast(pl.String),
        source="source",
        language="language",
        text="text",
    )


def every_nth(texts: pl.Series, count: int) -> pl.Series:
    step = max(1, len(texts) // count)
    return texts.gather_every(step, offset=step // 2).head(count)


def ask_datatrove(python: str, documents: pl.DataFrame) -> dict[str, Any]:
    settings = {
        "works": {
            work: [{"name": name, "arguments": there} for name, (_, there) in filters]
            for work, filters in WORKS.items()
        },
        "stop_words": {language: sorted(STOP_WORDS[language]) for language in documents["language"].unique()},
    }
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder, "documents.jsonl"), Path(folder, "answers.json")
        with question.open("w", encoding="utf-8") as lines:
            lines.write(json.dumps(settings) + "\n")
            for document in documents.select("source", "language", "text").iter_rows(named=True):
                lines.write(json.dumps(document) + "\n")
        peer = Path(__file__).with_name("datatrove_peer.py")
        subprocess.run([python, str(peer), str(question), str(answer)], check=True)
        return dict(json.loads(answer.read_text(encoding="utf-8")))


def ask_prolepsis(work: Work, documents: pl.DataFrame) -> tuple[list[str | None], float]:
    """The reason of each document, and CPU seconds."""
    filters = []
    for name, (here, _) in work:
        plugin = plugins.load("prolepsis.corpus_filters", name)
        filters.append(plugin(plugin.Config(**here)))
    judge(filters, documents.head(20))
    batches = documents.with_columns(
        batch=pl.col("text").str.len_bytes().cum_sum() // BATCH_BYTES
    ).partition_by("batch", include_key=False, maintain_order=True)
    start = time.process_time()
    reasons = [reason for batch in batches for reason in judge(filters, batch)]
    return reasons, time.process_time() - start


def judge(filters: list[DocumentFilter], batch: pl.DataFrame) -> list[str | None]:
    reasons = []
    kept = batch
    for each in filters:
        judged = each.judge(kept)
        reasons.append(judged.select("number", "reason").drop_nulls())
        kept = judged.filter(pl.col("reason").is_null()).drop("reason", "score")
    dropped = batch.select("number").join(pl.concat(reasons), on="number", how="left", maintain_order="left")
    return dropped["reason"].to_list()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("python", help="of the environment with datatrove")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--books", type=int, default=3000, help="documents from books")
    parser.add_argument("--entries", type=int, default=2000, help="documents from each Wikipedia")
    parser.add_argument("--disagreements", type=int, default=0, help="how many to print for each filter")
    arguments = parser.parse_args()
    if pl.thread_pool_size() != 1:
        raise SystemExit("Set POLARS_MAX_THREADS=1: seconds of one thread are compared.")
    documents = read_documents(arguments.folder, arguments.books, arguments.entries)
    answers = ask_datatrove(arguments.python, documents)
    sources = documents["source"].to_list()
    columns = documents["source"].unique(maintain_order=True).to_list()
    print(
        documents.group_by("source", maintain_order=True).agg(pl.len(), pl.col("text").str.len_bytes().mean())
    )
    print("\nAgreement to keep or drop (and on the reason), %\n")
    print("| filter | all | " + " | ".join(columns) + " |\n" + "|---" * (len(columns) + 2) + "|")
    speeds = []
    for work, filters in WORKS.items():
        there = [REASONS.get(reason, reason) for reason in answers[work]["reasons"]]
        here, _ = ask_prolepsis(filters, documents)
        total, decided, named = Counter(sources), Counter[str](), Counter[str]()
        for source, ours, theirs in zip(sources, here, there, strict=True):
            decided[source] += (ours is None) == (theirs is None)
            named[source] += ours == theirs
        cells = [
            f"{100 * decided.total() / total.total():.2f} ({100 * named.total() / total.total():.2f})",
            *(f"{100 * decided[s] / total[s]:.2f} ({100 * named[s] / total[s]:.2f})" for s in columns),
        ]
        print(f"| {work} | " + " | ".join(cells) + " |")
        print_disagreements(documents, here, there, arguments.disagreements)
        books = documents.filter(source="books")
        _, seconds = ask_prolepsis(filters, books)
        rate = books.height / seconds
        peer_rate = books.height / answers[work]["seconds"]["books"]
        speeds.append(f"| {work} | {peer_rate:,.0f} | {rate:,.0f} | {rate / peer_rate:,.0f} × |")
    print("\nDocuments from books per CPU second\n")
    print("| filter | datatrove | prolepsis | |\n|---|---|---|---|\n" + "\n".join(speeds))


def print_disagreements(
    documents: pl.DataFrame, here: list[str | None], there: list[str | None], count: int
) -> None:
    differing = [number for number in range(len(here)) if here[number] != there[number]]
    for number in differing[:count]:
        print(f"  {here[number]} here, {there[number]} there: {documents['text'][number][:200]!r}")


if __name__ == "__main__":
    main()
