"""Memory and time of the corpus ingestion on a generated corpus that is larger than memory may be.

    python benchmarks/large_corpus.py TEXT.parquet FOLDER [--gigabytes 10]

Documents are 10 to 50 sentences drawn from the texts of TEXT.parquet; one in twenty is the one before it with
another end. FOLDER needs three times the corpus's size. One process, one thread of polars.
"""

import argparse
import json
import os
import random
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import polars as pl

FILTERS = ["gopher_quality", "exact_duplicates", "near_duplicates"]
FILE_BYTES = 250_000_000


def generate(texts: pl.Series, folder: Path, gigabytes: float) -> None:
    parts = re.split(r"(?<=[.!?])\s+", "\n".join(texts))
    sentences = [part.strip().replace("\n", " ") for part in parts if 20 < len(part) < 400]
    draw = random.Random(0)
    folder.mkdir(parents=True)
    text = ""
    for number in range(max(1, round(gigabytes * 1e9 / FILE_BYTES))):
        with (folder / f"{number:03d}.jsonl").open("w", encoding="utf-8") as file:
            size = 0
            while size < FILE_BYTES:
                near = text and draw.random() < 0.05
                text = (
                    f"{text[:-15]} and so forth."
                    if near
                    else " ".join(draw.choices(sentences, k=draw.randint(10, 50)))
                )
                size += file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, default=10)
    parser.add_argument("--ingest", action="store_true", help="the corpus lies there already")
    arguments = parser.parse_args()
    if arguments.ingest:
        ingest(arguments.folder)
        return
    texts = pl.read_parquet(arguments.text, columns=["text"])["text"]
    generate(texts, arguments.folder / "corpus", arguments.gigabytes)
    # In a process of its own, whose peak is the ingestion's alone.
    subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], "--ingest"],
        check=True,
        env=os.environ | {"POLARS_MAX_THREADS": "1"},
    )


def ingest(folder: Path) -> None:
    from prolepsis.io import ParquetShardsDataset
    from prolepsis.text.corpus.config import IngestionConfig
    from prolepsis.text.corpus.ingestion import ingest_corpus

    config = IngestionConfig.model_validate(
        {
            "filters": [{"plugin": name} for name in FILTERS],
            "num_processes": 1,
            "checkpoint_directory": folder / "work",
        }
    )
    start = time.perf_counter()
    corpus = ingest_corpus(folder / "corpus", config)
    ParquetShardsDataset(filepath=str(folder / "documents")).save(corpus.documents)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(corpus.waterfall)
    print(
        f"{time.perf_counter() - start:.0f} s, {usage.ru_utime + usage.ru_stime:.0f} CPU s, "
        f"{usage.ru_maxrss / 1e3:.0f} MB at the peak"
    )


if __name__ == "__main__":
    main()
