"""Documents that hold what models will be evaluated with."""

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from prolepsis.errors import ProlepsisError
from prolepsis.text.corpus.filtering import DocumentFilter
from prolepsis.text.corpus.filters.rules import Rule, apply_rules

BUILT_IN = (
    "gensim:test/test_data/questions-words.txt",
    "gensim:test/test_data/wordsim353.tsv",
    "gensim:test/test_data/simlex999.txt",
)
"""The analogies and word similarities that word vectors are scored with."""

_WHERE = "corpus_ingestion.filters, decontamination"


class DecontaminationConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    ngram_words: int = Field(default=13, ge=1, le=100)
    """How many words in a row a document may not share with an evaluation set."""
    files: list[Path] = []
    """Evaluation sets of your own: txt, tsv, csv or jsonl, of which all strings count."""
    builtin: bool = True
    """Whether the sets that this project scores word vectors with count too; they come with gensim."""

    @model_validator(mode="after")
    def _check_sets(self) -> "DecontaminationConfig":
        if not self.files and not self.builtin:
            raise ValueError("there is no evaluation set to compare with: name files, or leave builtin true")
        return self


class DecontaminationFilter(DocumentFilter):
    """Drops what shares a run of 13 words with an evaluation set (Brown et al. 2020, appendix C).

    Reason: `contaminated`, with the number of shared runs. Words are compared as near duplicates are: without
    case, diacritics, punctuation and the values of numbers. An evaluation set is one stream of words, whose
    runs cross its lines: items of a few words are found where a document lists them as the set does.
    """

    Config = DecontaminationConfig

    def __init__(self, config: DecontaminationConfig) -> None:
        self._config = config
        files = [*config.files, *(_built_in_files() if config.builtin else [])]
        sets = pl.Series([read_evaluation_set(file) for file in files], dtype=pl.String)
        self._index = np.unique(_run_hashes(sets, config)[0])
        # Nearly all runs of a document are in no set, and one look at a table of bits tells it of most.
        self._bits = np.zeros(1 << max(16, len(self._index).bit_length() + 4), np.bool_)
        self._bits[self._slots(self._index)] = True

    @property
    def reads(self) -> str:
        return hashlib.sha256(self._index.tobytes()).hexdigest()

    def judge(self, documents: pl.DataFrame) -> pl.DataFrame:
        hashes, starts = _run_hashes(documents["text"], self._config)
        candidates = np.flatnonzero(self._bits[self._slots(hashes)])
        shared = candidates[np.isin(hashes[candidates], self._index)]
        counts = np.bincount(np.searchsorted(starts, shared, side="right") - 1, minlength=documents.height)
        measures = pl.DataFrame({"shared": counts})
        return apply_rules(documents, measures, [Rule.above("contaminated", pl.col("shared"), 0)])

    def _slots(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        return hashes & np.uint64(len(self._bits) - 1)


def read_evaluation_set(file: Path) -> str:
    """All strings of a file, one after the other.

    Lines that begin with # are comments, but in csv and jsonl.

    Raises:
        ProlepsisError: the file is missing, of another kind, or not what its suffix says.
    """
    readers = {".txt": _lines, ".tsv": _lines, ".csv": _cells, ".jsonl": _strings_of_records}
    if file.suffix not in readers:
        raise ProlepsisError(
            f"An evaluation set cannot be read from a file {file.suffix or 'without a suffix'!r}.",
            where=file,
            remedy=f"name files {', '.join(readers)}",
        )
    try:
        text = " ".join(readers[file.suffix](file))
        text.encode()  # JSON can spell halves of characters
    except FileNotFoundError as error:
        raise ProlepsisError(
            "There is no such evaluation set.", where=file, remedy=f"correct files of {_WHERE}"
        ) from error
    except UnicodeError as error:
        raise ProlepsisError(
            f"The evaluation set is not UTF-8: {error}", where=file, remedy="convert it to UTF-8"
        ) from error
    except (OSError, ValueError, csv.Error) as error:
        raise ProlepsisError(
            f"The evaluation set cannot be read: {error}", where=file, remedy="mend it"
        ) from error
    if not text.strip():
        raise ProlepsisError("The evaluation set is empty.", where=file, remedy=f"correct files of {_WHERE}")
    return text


def _lines(file: Path) -> Iterator[str]:
    yield from (
        line for line in file.read_text(encoding="utf-8-sig").splitlines() if not line.startswith("#")
    )


def _cells(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        for row in csv.reader(lines):
            yield from row


def _strings_of_records(file: Path) -> Iterator[str]:
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if line.strip():
            try:
                yield from _strings(json.loads(line))
            except (json.JSONDecodeError, RecursionError) as error:
                raise ProlepsisError(
                    f"This line is not JSON: {error}",
                    where=f"{file}, line {number}",
                    remedy="write a JSON value on each line",
                ) from error


def _strings(value: Any) -> Iterator[str]:
    """The strings in a value of JSON, but for keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def _built_in_files() -> list[Path]:
    from prolepsis.text.word2vec.evaluation import locate_evaluation_set

    try:
        return [locate_evaluation_set(reference) for reference in BUILT_IN]
    except ProlepsisError as error:
        raise ProlepsisError(
            "The built-in evaluation sets come with gensim, which is not installed.",
            where=_WHERE,
            remedy="pip install 'prolepsis[demo]', or set builtin: false",
        ) from error


def _run_hashes(
    texts: pl.Series, config: DecontaminationConfig
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    from prolepsis.text.corpus.shingles import shingle_hashes

    return shingle_hashes(texts, config.ngram_words)
