"""Documents that the corpus already holds: the same text again, and texts with a few words changed.

Both filters keep the first of each group in the order of the corpus. Neither holds texts: 16 bytes per
document for exact duplicates, 120 for near ones.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from prolepsis.text.corpus.filters import CorpusFilter
from prolepsis.text.corpus.words import WORD, Hashes, ngram_hashes

_NO_MATCH = pl.DataFrame(schema={"number": pl.UInt64, "kept": pl.UInt64})


class ExactDuplicatesConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ExactDuplicates(CorpusFilter):
    """Drops what has the text of an earlier document, by a hash of 128 bits. Reason: `exact_duplicate`."""

    Config = ExactDuplicatesConfig

    def __init__(self, config: ExactDuplicatesConfig) -> None:
        self._numbers: list[pl.Series] = []
        self._hashes: list[npt.NDArray[np.uint64]] = []
        self._dropped = pl.Series(dtype=pl.UInt64)

    def observe(self, documents: pl.DataFrame) -> None:
        digests = b"".join(
            hashlib.blake2b(text.encode(), digest_size=16).digest() for text in documents["text"]
        )
        self._numbers.append(documents["number"])
        self._hashes.append(np.frombuffer(digests, dtype="<u8").reshape(-1, 2).astype(np.uint64))

    def conclude(self) -> None:
        if not self._numbers:
            return
        hashes = np.concatenate(self._hashes)
        seen = pl.DataFrame({"number": pl.concat(self._numbers), "low": hashes[:, 0], "high": hashes[:, 1]})
        self._dropped = seen.filter(~pl.struct("low", "high").is_first_distinct())["number"]
        self._numbers, self._hashes = [], []

    def judge(self, documents: pl.DataFrame) -> pl.DataFrame:
        duplicate = pl.col("number").is_in(self._dropped.implode())
        return documents.with_columns(
            reason=pl.when(duplicate).then(pl.lit("exact_duplicate")),
            score=pl.lit(None, dtype=pl.Float64),
        )


class NearDuplicatesConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    shingle_words: int = Field(default=5, ge=1)
    """The length of the runs of words that two documents may share."""
    bands: int = Field(default=14, ge=1)
    """Two documents are near duplicates if one of so many bands is equal."""
    rows: int = Field(default=8, ge=1)
    """Hashes in a band: documents of Jaccard similarity s meet with probability 1 - (1 - s^rows)^bands."""
    seed: int = Field(default=1, ge=0)
    """Of the hash functions."""


class NearDuplicates(CorpusFilter):
    """Drops what shares most of its runs of words with an earlier document. Reason: `near_duplicate`.

    MinHash (Broder 1997) with locality-sensitive hashing, in FineWeb's setting: runs of 5 words, 14 bands of
    8 hashes, so that a pair of similarity 0.8 is found with probability 0.92 and one of 0.5 with 0.05.
    Documents that are linked by such pairs, also through others, are one group. Before comparison a text is
    lower-cased, stripped of diacritics and punctuation, and its numbers become 0. The score is the estimated
    similarity to the kept document.
    """

    Config = NearDuplicatesConfig

    def __init__(self, config: NearDuplicatesConfig) -> None:
        self._config = config
        self._numbers: list[npt.NDArray[np.uint64]] = []
        self._bands: list[Hashes] = []
        self._groups = _NO_MATCH
        self._kept_signatures: dict[int, npt.NDArray[np.uint32]] = {}

    def observe(self, documents: pl.DataFrame) -> None:
        numbers, signatures = self._signatures(documents)
        bands = signatures.reshape(-1, self._config.bands, self._config.rows)
        folded = np.zeros(bands.shape[:2], np.uint64)
        for row in range(self._config.rows):
            folded = folded * np.uint64(0x9E3779B97F4A7C15) + bands[:, :, row]
        self._numbers.append(numbers)
        self._bands.append(folded)

    def conclude(self) -> None:
        if not self._numbers:
            return
        numbers = np.concatenate(self._numbers)
        bands = np.concatenate(self._bands)
        self._numbers, self._bands = [], []
        first = first_of_groups(_pairs(numbers, bands))
        if first:
            self._groups = pl.DataFrame(
                list(first.items()), schema={"number": pl.UInt64, "kept": pl.UInt64}, orient="row"
            )

    def judge(self, documents: pl.DataFrame) -> pl.DataFrame:
        judged = documents.join(self._groups, on="number", how="left", maintain_order="left")
        return judged.with_columns(
            reason=pl.when(pl.col("kept").is_not_null()).then(pl.lit("near_duplicate")),
            score=self._similarities(judged),
        ).drop("kept")

    def _signatures(self, documents: pl.DataFrame) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
        """The numbers of the documents that have words, shape [D], and their MinHashes, [D, bands * rows]."""
        from rensa import RMinHash

        rows, shingles = _shingles(documents["text"], self._config.shingle_words)
        present, counts = np.unique(rows, return_counts=True)
        borders = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64)
        num_hashes = self._config.bands * self._config.rows
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(
            shingles, borders, num_hashes, self._config.seed
        )
        signatures = np.array(matrix.to_rows(), dtype=np.uint32).reshape(-1, num_hashes)
        return documents["number"].to_numpy()[present], signatures

    def _similarities(self, judged: pl.DataFrame) -> pl.Series:
        """For each dropped document the share of equal hashes in its signature and the kept one's.

        Signatures are made again for the members of groups alone: keeping all of them would take four times
        the memory of the bands. The kept document comes first, so its signature is there when it is needed.
        """
        scores: list[float | None] = [None] * judged.height
        wanted = set(self._groups["kept"])
        member = pl.col("kept").is_not_null() | pl.col("number").is_in(wanted)
        members = judged.with_row_index("row").filter(member)
        if members.height == 0:
            return pl.Series(scores, dtype=pl.Float64)
        _, signatures = self._signatures(members)
        for row, number, kept, signature in zip(
            members["row"], members["number"], members["kept"], signatures, strict=True
        ):
            if kept is None:
                self._kept_signatures[number] = signature
            else:
                scores[row] = float(np.mean(signature == self._kept_signatures[kept]))
        return pl.Series(scores, dtype=pl.Float64)


def first_of_groups(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Union-find: the smallest member of the group of each document that is not itself the smallest.

    Args:
        pairs: documents that belong together.

    >>> first_of_groups([(3, 1), (3, 5), (8, 9)])
    {3: 1, 5: 1, 9: 8}
    """
    parents: dict[int, int] = {}

    def root(member: int) -> int:
        parents.setdefault(member, member)
        while parents[member] != member:
            parents[member] = parents[parents[member]]
            member = parents[member]
        return member

    for left, right in pairs:
        smaller, larger = sorted((root(left), root(right)))
        parents[larger] = smaller
    return {member: root(member) for member in sorted(parents) if root(member) != member}


def _pairs(numbers: npt.NDArray[np.uint64], bands: Hashes) -> Iterable[tuple[int, int]]:
    """Each document with the first one that has the same band, for every band in which there is one."""
    for band in range(bands.shape[1]):
        groups = pl.DataFrame({"number": numbers, "band": bands[:, band]})
        pairs = groups.with_columns(first=pl.col("number").min().over("band")).filter(
            pl.col("number") != pl.col("first")
        )
        yield from pairs.select("first", "number").iter_rows()


def _shingles(texts: pl.Series, n: int) -> tuple[npt.NDArray[np.int64], Hashes]:
    """The rows of the texts and the hashes of all runs of `n` words in them; a shorter text is one run."""
    words = _comparable(texts).str.extract_all(WORD)
    lengths = words.list.len().to_numpy().astype(np.int64)
    rows = np.repeat(np.arange(len(texts), dtype=np.int64), lengths)
    hashes: Any = words.list.explode(empty_as_null=False).hash(seed=0).to_numpy()
    values, starts = ngram_hashes(hashes, rows, n)
    short = np.flatnonzero((lengths > 0) & (lengths < n))
    whole = words.gather(short).list.join(" ").hash(seed=1).to_numpy() if len(short) else hashes[:0]
    all_rows = np.concatenate([rows[starts], short])
    order = np.argsort(all_rows, kind="stable")
    return all_rows[order], np.concatenate([values, whole])[order]


def _comparable(texts: pl.Series) -> pl.Series:
    """What is left of a text where case, diacritics, punctuation and the values of numbers do not count."""
    return (
        texts.str.to_lowercase()
        .str.normalize("NFD")
        .str.replace_all(r"\p{Mn}", "")
        .str.replace_all(r"\p{Nd}+", "0")
        .str.replace_all(r"[\p{P}\p{S}]", " ")
    )
