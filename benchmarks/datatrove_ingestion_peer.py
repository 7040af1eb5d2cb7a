"""datatrove's side of `text.py`: runs in an environment of its own, where prolepsis is not.

    PYTHON benchmarks/datatrove_ingestion_peer.py CORPUS FOLDER

CORPUS holds `.jsonl` files of `{"id": ..., "text": ...}`. Two jobs, each one process: signatures and
clusters of near duplicates alone, and the filters of FineWeb (but for the language, whose model would have to
be downloaded) followed by near duplicates. Prints what each kept and its CPU seconds as JSON.
"""

import json
import resource
import sys
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.hashing import HashConfig


def cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run(*steps: Any, logs: Path) -> None:
    LocalPipelineExecutor(list(steps), tasks=1, workers=1, logging_dir=str(logs), skip_completed=False).run()


def cluster(corpus: Path, folder: Path) -> Path:
    # Its own default, xxhash, fails with current versions of that package.
    config = MinhashConfig(
        n_grams=5, num_buckets=14, hashes_per_bucket=8, hash_config=HashConfig(hash_fc="sha1")
    )
    signatures, buckets, removed = (str(folder / name) for name in ("sig", "buckets", "removed"))
    run(
        JsonlReader(str(corpus)),
        MinhashDedupSignature(output_folder=signatures, config=config, language="en"),
        logs=folder / "logs1",
    )
    LocalPipelineExecutor(
        [MinhashDedupBuckets(input_folder=signatures, output_folder=buckets, config=config)],
        tasks=config.num_buckets,
        workers=1,
        logging_dir=str(folder / "logs2"),
    ).run()
    run(
        MinhashDedupCluster(input_folder=buckets, output_folder=removed, config=config), logs=folder / "logs3"
    )
    return Path(removed)


def deduplicate(corpus: Path, removed: Path, kept: Path, logs: Path) -> Path:
    run(
        JsonlReader(str(corpus)),
        MinhashDedupFilter(input_folder=str(removed)),
        JsonlWriter(str(kept), compression=None),
        logs=logs,
    )
    return kept


def quality(corpus: Path, folder: Path) -> Path:
    kept = folder / "quality"
    run(
        JsonlReader(str(corpus)),
        GopherRepetitionFilter(language="en"),
        GopherQualityFilter(language="en"),
        C4QualityFilter(filter_no_terminal_punct=False, language="en"),
        FineWebQualityFilter(language="en"),
        JsonlWriter(str(kept), compression=None),
        logs=folder / "logs0",
    )
    return kept


def documents(folder: Path) -> int:
    return sum(1 for file in folder.glob("*.jsonl") for _ in file.open(encoding="utf-8"))


def main() -> None:
    corpus, folder = Path(sys.argv[1]), Path(sys.argv[2])
    alone, both = folder / "alone", folder / "both"
    start = cpu_seconds()
    removed = cluster(corpus, alone)
    clustered = cpu_seconds() - start
    distinct = deduplicate(corpus, removed, alone / "kept", alone / "logs4")
    start = cpu_seconds()
    good = quality(corpus, both)
    kept = deduplicate(good, cluster(good, both), both / "kept", both / "logs4")
    ingested = cpu_seconds() - start
    print(
        json.dumps(
            {
                "near_duplicates": {"seconds": clustered, "kept": documents(distinct)},
                "ingestion": {"seconds": ingested, "kept": documents(kept)},
            }
        )
    )


if __name__ == "__main__":
    main()
