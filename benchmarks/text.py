"""Corpus ingestion against datatrove, and two processes against one.

    python benchmarks/text.py TEXT.parquet --datatrove PYTHON [--documents 3000]

TEXT.parquet has a column `text`; the texts are cut into documents of about 3.4 kB. PYTHON is the interpreter
of an environment with `datatrove[processing]==0.10.1 spacy`. All figures are CPU seconds of one thread but
for the last row, which is wall time and wants an idle machine. The filters one by one, and how often both
decide alike, are in `datatrove_filters.py`; the tokenizers in `tokenizers.py`.
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
QUALITY: list[dict[str, Any]] = [
    {"plugin": "gopher_repetition"},
    {"plugin": "gopher_quality"},
    {"plugin": "c4", "config": {"require_sentence_end": False}},
    {"plugin": "fineweb"},
]
NEAR = [{"plugin": "near_duplicates"}]
FILES = 8


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


def ingest(corpus: Path, filters: list[dict[str, Any]], num_processes: int) -> dict[str, Any]:
    """In a process of its own, so that threads and CPU seconds are its own."""
    command = [sys.executable, __file__, "--ingest", str(corpus), json.dumps(filters), str(num_processes)]
    threads = {} if num_processes > 1 else {"POLARS_MAX_THREADS": "1", "RAYON_NUM_THREADS": "1"}
    output = subprocess.run(
        command, check=True, capture_output=True, text=True, env=os.environ | threads
    ).stdout
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def ingest_here(corpus: str, filters: str, num_processes: str) -> None:
    from prolepsis.text.corpus.config import IngestionConfig
    from prolepsis.text.corpus.ingestion import ingest_corpus

    config = IngestionConfig.model_validate(
        {"filters": json.loads(filters), "num_processes": int(num_processes)}
    )
    start = time.perf_counter()
    result = ingest_corpus(Path(corpus), config)
    kept = sum(frame.height for frame in result.documents)
    wall = time.perf_counter() - start
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    print(json.dumps({"seconds": seconds, "wall": wall, "kept": kept, "peak_mb": usages[0].ru_maxrss / 1e3}))


def main() -> None:
    if sys.argv[1:2] == ["--ingest"]:
        ingest_here(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--datatrove", type=Path, help="an interpreter that has datatrove")
    parser.add_argument("--documents", type=int, default=3000)
    parser.add_argument("--scaling-documents", type=int, default=14_000)
    arguments = parser.parse_args()
    texts = list(documents(arguments.text))
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.datatrove is not None:
            few = texts[: arguments.documents]
            write_corpus(few, folder / "few")
            size = sum(file.stat().st_size for file in (folder / "few").iterdir()) / 1e6
            output = subprocess.run(
                [
                    arguments.datatrove,
                    "benchmarks/datatrove_ingestion_peer.py",
                    folder / "few",
                    folder / "peer",
                ],
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            ).stdout
            peer = json.loads(output.splitlines()[-1])
            for work, filters in (("near_duplicates", NEAR), ("ingestion", [*QUALITY, *NEAR])):
                own = ingest(folder / "few", filters, 1)
                rows.append(
                    {
                        "work": work,
                        "MB per CPU second": size / own["seconds"],
                        "datatrove": size / peer[work]["seconds"],
                        "ratio": peer[work]["seconds"] / own["seconds"],
                        "kept": own["kept"],
                        "datatrove kept": peer[work]["kept"],
                    }
                )
        write_corpus(texts[: arguments.scaling_documents], folder / "many")
        size = sum(file.stat().st_size for file in (folder / "many").iterdir()) / 1e6
        runs = [ingest(folder / "many", [*QUALITY, *NEAR], processes) for processes in (1, 2)]
    if rows:
        print(pl.DataFrame(rows))
    one, two = runs
    ratio = one["wall"] / two["wall"]
    print(f"{size:.1f} MB, one process {one['wall']:.1f} s, two {two['wall']:.1f} s: {ratio:.2f} x")


if __name__ == "__main__":
    main()
