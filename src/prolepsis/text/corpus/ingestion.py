"""The whole way from a folder of files to documents, shard by shard.

Files are read into shards of work (`reading`), which the filters then pass over (`passes`): once, and once
more for every filter that must have seen the whole corpus before it can judge. Every step works on one shard
in one process and marks it when it is done (`workspace`), so that memory holds a few megabytes for each
process, several processes can share the work, and a killed run goes on at the shards that are missing.
"""

import hashlib
import inspect
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from prolepsis import plugins
from prolepsis.errors import ProlepsisError
from prolepsis.files import atomic_directory
from prolepsis.text.corpus import ledger, passes
from prolepsis.text.corpus.config import READERS, IngestionConfig
from prolepsis.text.corpus.files import CorpusFile, find_files
from prolepsis.text.corpus.filtering import CorpusFilter, DocumentFilter
from prolepsis.text.corpus.ledger import SourceNames
from prolepsis.text.corpus.parts import damaged, parts, read_part
from prolepsis.text.corpus.passes import Pass, PassTask, plan_passes, run_pass
from prolepsis.text.corpus.reading import (
    REFUSED,
    FileRecord,
    ReadingTask,
    ReadRecord,
    Shard,
    find_readers,
    grouped,
    read_files,
)
from prolepsis.text.corpus.workers import Workers
from prolepsis.text.corpus.workspace import Workspace
from prolepsis.training.progress import progress

FILES: dict[str, type[pl.DataType]] = {
    "file": pl.String,
    "encoding": pl.String,
    "replaced_bytes": pl.Int64,
    "documents": pl.Int64,
    "bytes": pl.Int64,
}


@dataclass(frozen=True)
class IngestedCorpus:
    """What became of a folder of files.

    Attributes:
        documents: shards with the columns of `passes.DOCUMENT_COLUMNS`; may be iterated as often as wanted.
        dropped: shards with the columns of `passes.DROPPED_COLUMNS`.
        waterfall: documents and bytes of text before and after each step (`ledger.WATERFALL`).
        waterfall_by_group: the same for each language and source (`ledger.WATERFALL_BY_GROUP`).
        examples: a few documents dropped for each reason (`ledger.EXAMPLES`).
        files: what each file that was read held, and how it was encoded (`FILES`).
        set_aside: file and reason of every file that was not read.
        metrics: counts for people and for `dvc metrics`.
    """

    documents: Iterable[pl.DataFrame]
    dropped: Iterable[pl.DataFrame]
    waterfall: pl.DataFrame
    waterfall_by_group: pl.DataFrame
    examples: pl.DataFrame
    files: pl.DataFrame
    set_aside: pl.DataFrame
    metrics: dict[str, Any]


def ingest_corpus(folder: Path, config: IngestionConfig) -> IngestedCorpus:
    """Reads, cleans, filters and deduplicates all files of a folder.

    A document's id is its file's path, a hash sign and its key in the file (its own id, or its line), so ids
    of different files cannot clash. Which documents are for validation depends on their text alone.

    Raises:
        ProlepsisError: there is no file to read, too many are bad, or a filter dropped every document.
    """
    return _Ingestion(folder, config).run()


class _Ingestion:
    def __init__(self, folder: Path, config: IngestionConfig) -> None:
        self._folder = folder
        self._config = config
        self._passes = plan_passes(config)
        self._reasons: dict[str, str] = {}
        self._stats = self._find_files()
        self._files = [*self._stats]
        self._refuse_work_in_corpus()
        self._workspace = Workspace(config.checkpoint_directory, self._contents())
        self._names = SourceNames.of([file.name for file in self._files])
        self._records: list[FileRecord] = []
        self._shards: list[Shard] = []
        self._kept: dict[str, int] = {}

    def run(self) -> IngestedCorpus:
        with Workers(self._config.num_processes) as workers:
            self._read(workers)
            for number, plan in enumerate(self._passes):
                self._run_pass(workers, number, plan)
                self._refuse_empty(self._ledger(number))
                if plan.observer is not None:
                    self._conclude(number, plan.observer)
        return self._result()

    def _find_files(self) -> dict[CorpusFile, os.stat_result]:
        """The files to read, as they are now; why others are not read is noted."""
        readers = find_readers(self._config)
        found, self._reasons = find_files(
            self._folder, self._config.include, self._config.exclude, self._config.decoding
        )
        files: dict[CorpusFile, os.stat_result] = {}
        for file in found:
            if file.suffix not in readers:
                ending = f"files that end in {file.suffix!r}" if file.suffix else "files without an ending"
                self._reasons[file.name] = f"No reader takes {ending}."
                continue
            try:
                files[file] = file.path.stat()
            except OSError as error:
                self._reasons[file.name] = f"It cannot be read: {error.strerror}."
        if not files:
            self._refuse_no_files(sorted(readers))
        return files

    def _refuse_no_files(self, suffixes: list[str]) -> None:
        everything = self._config.include == ["**/*"] and not self._config.exclude
        ignored = f" {len(self._reasons)} were passed over." if self._reasons else ""
        remedy = f"Put text there: {', '.join(suffixes)}, also with .gz, .xz, .bz2 or .zst."
        if not everything:
            patterns = f"include {self._config.include} and exclude {self._config.exclude}"
            remedy = f"Look at the patterns {patterns}. Or put text there: {', '.join(suffixes)}."
        raise ProlepsisError(
            f"The corpus folder holds no file that a reader takes.{ignored}",
            where=self._folder,
            remedy=remedy,
        )

    def _refuse_work_in_corpus(self) -> None:
        directory = self._config.checkpoint_directory
        if directory is not None and directory.resolve().is_relative_to(self._folder.resolve()):
            raise ProlepsisError(
                "Unfinished work cannot be kept inside the corpus, where it would be read as a part of it.",
                where=directory,
                remedy="Give corpus_ingestion.checkpoint_directory a folder elsewhere.",
            )

    def _contents(self) -> dict[str, Any]:
        """All that the result depends on."""
        irrelevant = {"checkpoint_directory", "num_processes", "max_bad_share", "shard_megabytes"}
        return {
            "folder": str(self._folder.resolve()),
            "files": [[file.name, stat.st_size, stat.st_mtime_ns] for file, stat in self._stats.items()],
            "config": self._config.model_dump(mode="json", exclude=irrelevant),
            "code": _digest_of_code(self._passes),
            "read": [one.reads for one in _filters(self._passes)],
        }

    def _read(self, workers: Workers) -> None:
        sizes = {file: stat.st_size for file, stat in self._stats.items()}
        tasks = [
            ReadingTask(
                index, files, self._config, self._workspace.read(index), sum(sizes[file] for file in files)
            )
            for index, files in enumerate(grouped(self._files, list(sizes.values())))
        ]
        with progress("Reading files", sum(sizes.values()) / 1e6, "MB") as bar:
            workers.for_each(read_files, tasks, lambda size: bar.advance(size / 1e6))
        for task in tasks:
            record = ReadRecord.load(task.directory)
            self._records += record.files
            self._shards += record.shards
        self._refuse_too_many_bad()

    def _run_pass(self, workers: Workers, number: int, plan: Pass) -> None:
        tasks = [
            PassTask(
                number=number,
                config=self._config,
                names=self._names,
                source=self._source(number, shard),
                verdict=self._verdict(number, shard),
                target=self._workspace.judged(number, shard.name),
                documents=shard.documents,
                expected=self._kept.get(shard.name, shard.documents),
            )
            for shard in self._shards
        ]
        description = "Filtering: " + ", ".join(step.name for step in plan.steps)
        with progress(description, sum(task.documents for task in tasks), "documents") as bar:
            workers.for_each(run_pass, tasks, bar.advance)
        last_step = plan.steps[-1].place
        for shard in self._shards:
            self._kept[shard.name] = ledger.kept_documents(self._shard_ledger(number, shard), last_step)

    def _source(self, number: int, shard: Shard) -> Path:
        if number == 0:
            return self._read_in(shard) / shard.name
        return self._workspace.judged(number - 1, shard.name) / passes.KEPT

    def _verdict(self, number: int, shard: Shard) -> Path:
        return self._read_in(shard) / REFUSED if number == 0 else self._workspace.verdict(number) / shard.name

    def _read_in(self, shard: Shard) -> Path:
        return self._workspace.read(int(shard.name.split("-")[0]))

    def _conclude(self, number: int, observer: CorpusFilter) -> None:
        """Writes what the filter says of each shard, for the next pass."""
        target = self._workspace.verdict(number + 1)
        if target.is_dir():
            return
        observed = [
            part
            for shard in self._shards
            for part in parts(self._workspace.judged(number, shard.name) / passes.OBSERVED)
        ]
        borders = [shard.first_number for shard in self._shards]
        with atomic_directory(target) as temporary:
            for shard in self._shards:
                (temporary / shard.name).mkdir()
            for index, frame in enumerate(observer.conclude(pl.scan_ipc(observed))):
                for row, part in _divided(frame, borders):
                    # The first frame, even if it is empty, tells its columns.
                    if index == 0 or part.height:
                        part.write_ipc(temporary / self._shards[row].name / f"{index:06d}.arrow")

    def _ledger(self, last_pass: int) -> pl.DataFrame:
        return ledger.merged(
            self._shard_ledger(number, shard) for number in range(last_pass + 1) for shard in self._shards
        )

    def _shard_ledger(self, number: int, shard: Shard) -> pl.DataFrame:
        return read_part(self._workspace.judged(number, shard.name) / passes.LEDGER_FILE)

    def _result(self) -> IngestedCorpus:
        last = len(self._passes) - 1
        counts = self._ledger(last)
        total = ledger.waterfall(counts)
        kept = [self._workspace.judged(last, shard.name) / passes.KEPT for shard in self._shards]
        dropped = [
            self._workspace.judged(number, shard.name) / passes.DROPPED
            for number in range(last + 1)
            for shard in self._shards
        ]
        documents = OutputShards(self._workspace, kept, passes.DOCUMENT_COLUMNS, self._config.shard_megabytes)
        documents.require(int(total["documents_after"][-1]))
        read = [record for record in self._records if record.reason is None]
        return IngestedCorpus(
            documents=documents,
            dropped=OutputShards(
                self._workspace, dropped, passes.DROPPED_COLUMNS, self._config.shard_megabytes
            ),
            waterfall=total,
            waterfall_by_group=ledger.waterfall_by_group(counts),
            examples=ledger.chosen(read_part(folder.parent / passes.EXAMPLES_FILE) for folder in dropped),
            files=pl.DataFrame(
                [(r.file, r.encoding, r.replaced_bytes, r.documents, r.bytes) for r in read],
                schema=FILES,
                orient="row",
            ),
            set_aside=self._set_aside(),
            metrics={
                "files": {
                    "read": len(read),
                    "set_aside": self._set_aside().height,
                    "replaced_bytes": sum(record.replaced_bytes for record in read),
                },
                "documents": {"read": total["documents_before"][0], "kept": total["documents_after"][-1]},
                "bytes": {"read": total["bytes_before"][0], "kept": total["bytes_after"][-1]},
                "dropped": ledger.reasons(counts),
                **documents.counts(),
            },
        )

    def _set_aside(self) -> pl.DataFrame:
        bad = {record.file: record.reason for record in self._records if record.reason is not None}
        rows = sorted((self._reasons | bad).items())
        return pl.DataFrame(rows, schema={"file": pl.String, "reason": pl.String}, orient="row")

    def _refuse_too_many_bad(self) -> None:
        bad = [record for record in self._records if record.reason is not None]
        if len(bad) > self._config.max_bad_share * len(self._records):
            examples = "\n".join(f"    {record.file}: {record.reason}" for record in bad[:3])
            raise ProlepsisError(
                f"{len(bad)} of {len(self._records)} files cannot be read, more than the "
                f"{self._config.max_bad_share:.0%} that may be:\n{examples}",
                where=self._folder,
                remedy="Mend or remove them, or raise max_bad_share.",
            )

    def _refuse_empty(self, counts: pl.DataFrame) -> None:
        """Raises if a step left nothing, naming the first that did."""
        if counts.height == 0:
            raise ProlepsisError(
                "The corpus has no document: its files are empty.",
                where=self._folder,
                remedy="Put files with text there.",
            )
        for row in ledger.waterfall(counts).iter_rows(named=True):
            if row["documents_after"] == 0:
                name = row["filter"]
                reason, count = Counter(ledger.reasons(counts)[name]).most_common(1)[0]
                raise ProlepsisError(
                    f"The step {name!r} dropped every document: all {row['documents_before']} that were "
                    f"left, {count} of them as {reason!r}.",
                    where=self._folder,
                    remedy=f"Loosen {name!r} under corpus_ingestion.filters, or take it out.",
                )


class OutputShards:
    """The rows of many folders of frames, in frames of about so many megabytes of text.

    One empty frame where there are no rows. The workspace is held as long as this is.
    """

    def __init__(
        self,
        workspace: Workspace,
        folders: Sequence[Path],
        columns: dict[str, type[pl.DataType]],
        megabytes: float,
    ) -> None:
        self._workspace = workspace
        self._folders = folders
        self._columns = columns
        self._bytes = megabytes * 1e6

    def __iter__(self) -> Iterator[pl.DataFrame]:
        frames: list[pl.DataFrame] = []
        size = 0
        yielded = False
        for path in self._parts():
            frame = read_part(path)
            frames.append(frame)
            size += ledger.num_bytes(frame["text"])
            if size >= self._bytes:
                yield pl.concat(frames)
                frames, size, yielded = [], 0, True
        if frames:
            yield pl.concat(frames)
        elif not yielded:
            yield pl.DataFrame(schema=self._columns)

    def require(self, documents: int) -> None:
        """Raises if there are not so many rows."""
        try:
            found = pl.scan_ipc(self._parts()).select(pl.len()).collect().item()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise damaged(self._workspace.directory, str(error)) from error
        if found != documents:
            raise damaged(self._workspace.directory, f"{found} documents of {documents}")

    def counts(self) -> dict[str, dict[str, int]]:
        """How many documents there are of each language and split."""
        scanned = pl.scan_ipc(self._parts()).group_by("language", "split").agg(pl.len()).collect()
        languages: Counter[str] = Counter()
        splits: Counter[str] = Counter()
        for language, split, count in scanned.iter_rows():
            languages[language] += count
            splits[split] += count
        return {
            "languages": dict(sorted(languages.items())),
            "splits": {split: splits[split] for split in ("train", "val")},
        }

    def _parts(self) -> list[Path]:
        return [part for folder in self._folders for part in parts(folder)]


def _divided(verdict: pl.DataFrame, borders: Sequence[int]) -> Iterator[tuple[int, pl.DataFrame]]:
    """The rows about each shard, of which `borders` are the first numbers."""
    ordered = verdict.sort("number", maintain_order=True)
    starts = ordered["number"].search_sorted(pl.Series(borders, dtype=pl.UInt64)).to_list()
    for row, (start, end) in enumerate(pairwise([*starts, ordered.height])):
        yield row, ordered[start:end]


def _filters(planned: Iterable[Pass]) -> list[DocumentFilter | CorpusFilter]:
    return [step.filter for plan in planned for step in plan.steps if step.filter is not None]


def _digest_of_code(planned: Iterable[Pass]) -> str:
    """Of this package and of plugins from elsewhere: shards that other code made are of no use."""
    classes: set[type[Any]] = {type(one) for one in _filters(planned)}
    classes |= {plugins.load(READERS, name) for name in plugins.names(READERS)}
    files = {Path(inspect.getfile(plugin)) for plugin in classes} | {*Path(__file__).parent.rglob("*.py")}
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()
