"""Corpus ingestion against datatrove, and two processes against one.

    python benchmarks/text.py TEXT.parquet --datatrove PYTHON

TEXT.parquet has a column `text`; the texts are cut into documents of about 3.4 kB, a tenth of which come once
more with another end. PYTHON is the interpreter of an environment with `datatrove[processing]==0.10.1`, spacy
and orjson; it gets the first `--peer-documents` of them, and rates are compared. All figures are CPU seconds
of one thread, but for the last line, which is wall time and wants an idle machine; imports are left out on
both sides, compilation on ours, and writing Parquet. The filters one by one, and how often both decide alike,
are in `datatrove_filters.py`; the tokenizers in `tokenization.py`; memory in `large_corpus.py`.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

DOCUMENT_CHARACTERS = 3360
FILTERS: list[dict[str, Any]] = [
    {"plugin": "gopher_repetition"},
    {"plugin": "gopher_quality"},
    {"plugin": "c4", "config": {"require_sentence_end": False}},
    {"plugin": "fineweb"},
    {"plugin": "near_duplicates"},
]
FILES = 8
COPIES = 6


def documents(path: Path) -> Iterator[str]:
    for text in pl.read_parquet(path, columns=["text"])["text"]:
        for start in range(0, len(text), DOCUMENT_CHARACTERS):
            yield text[start : start + DOCUMENT_CHARACTERS]


def write_corpus(texts: list[str], folder: Path) -> None:
    """As several files, with a tenth of the documents once more and slightly changed."""
    texts = [*texts, *(text[:-20] + " and so on" for text in texts[::10])]
    folder.mkdir(parents=True)
    size = -(-len(texts) // FILES)
    for file in range(FILES):
        lines = [
            json.dumps({"id": str(number), "text": text})
            for number, text in enumerate(texts)
            if number // size == file
        ]
        (folder / f"{file}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def measured(work: str, corpus: Path, num_processes: int = 1) -> dict[str, Any]:
    """In a process of its own, so that threads and CPU seconds are its own."""
    threads = {} if num_processes > 1 else {"POLARS_MAX_THREADS": "1", "RAYON_NUM_THREADS": "1"}
    output = subprocess.run(
        [sys.executable, __file__, "--measure", work, str(corpus), str(num_processes)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | threads,
    ).stdout
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def measure(work: str, corpus: str, num_processes: str) -> None:
    run = cluster if work == "near_duplicates" else ingest
    with tempfile.TemporaryDirectory() as name:
        # Once with a few documents, so that all is imported and compiled.
        lines = (Path(corpus) / "0.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        (Path(name) / "few.jsonl").write_text("".join(lines[:100]), encoding="utf-8")
        run(Path(name), 1)
    before, start = cpu_seconds(), time.perf_counter()
    kept = run(Path(corpus), int(num_processes))
    wall = time.perf_counter() - start
    print(json.dumps({"seconds": cpu_seconds() - before, "wall": wall, "kept": kept}))


def ingest(corpus: Path, num_processes: int) -> int:
    """All of `corpus_ingestion` from files to documents."""
    from prolepsis.text.corpus.config import IngestionConfig
    from prolepsis.text.corpus.ingestion import ingest_corpus

    config = IngestionConfig.model_validate({"filters": FILTERS, "num_processes": num_processes})
    return sum(frame.height for frame in ingest_corpus(corpus, config).documents)


def cluster(corpus: Path, _: int) -> int:
    """Signatures and clusters of near duplicates, from files to what is left."""
    from prolepsis.text.corpus.duplicates import NearDuplicates, NearDuplicatesConfig

    plugin = NearDuplicates(NearDuplicatesConfig())
    observed = []
    total = 0
    for file in sorted(corpus.glob("*.jsonl")):
        texts = pl.read_ndjson(file).select(text="text")
        for batch in texts.with_row_index("number", offset=total).iter_slices(4096):
            observed.append(plugin.observe(batch.with_columns(pl.col("number").cast(pl.UInt64))))
            total += batch.height
    return total - sum(frame.height for frame in plugin.conclude(pl.concat(observed).lazy()))


def cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def num_bytes(corpus: Path) -> int:
    return sum(file.stat().st_size for file in corpus.glob("*.jsonl"))


def num_documents(corpus: Path) -> int:
    return sum(file.read_bytes().count(b"\n") for file in corpus.glob("*.jsonl"))


def compared(python: Path, few: Path, many: Path, scratch: Path) -> pl.DataFrame:
    output = subprocess.run(
        [python, Path(__file__).parent / "datatrove_ingestion_peer.py", few, scratch],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ).stdout
    peer = json.loads(output.splitlines()[-1])
    rows = []
    for work in ("near_duplicates", "ingestion"):
        own = measured(work, many)
        rates = num_bytes(many) / 1e6 / own["seconds"], num_bytes(few) / 1e6 / peer[work]["seconds"]
        rows.append(
            {
                "work": work,
                "documents/CPU-s": num_documents(many) / own["seconds"],
                "MB/CPU-s": rates[0],
                "datatrove's": rates[1],
                "ratio": rates[0] / rates[1],
                "kept of few": measured(work, few)["kept"],
                "datatrove kept": peer[work]["kept"],
            }
        )
    return pl.DataFrame(rows)


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        measure(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--datatrove", type=Path, help="an interpreter that has datatrove")
    parser.add_argument("--peer-documents", type=int, default=2000)
    arguments = parser.parse_args()
    texts = list(documents(arguments.text))
    with tempfile.TemporaryDirectory() as name:
        few, many = Path(name) / "few", Path(name) / "many"
        write_corpus(texts[: arguments.peer_documents], few)
        write_corpus(texts, many)
        if arguments.datatrove is not None:
            print(compared(arguments.datatrove, few, many, Path(name) / "datatrove"))
        # Large enough that starting the processes does not count.
        large = Path(name) / "large"
        write_corpus([f"{text} {copy}" for copy in range(COPIES) for text in texts], large)
        one, two = (measured("ingestion", large, processes) for processes in (1, 2))
        print(
            f"{num_bytes(large) / 1e6:.1f} MB, one process {one['wall']:.1f} s, two {two['wall']:.1f} s: "
            f"{one['wall'] / two['wall']:.2f} x"
        )


if __name__ == "__main__":
    main()
