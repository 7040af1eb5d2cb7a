"""What the corpus already holds: the same text again, texts with a few words changed, the same paragraphs.

All three keep what stands first in the order of the corpus.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from prolepsis.text.corpus.filtering import VERDICT, CorpusFilter, partitions

_MEMBERS_AT_ONCE = 200_000
_PAIRS_AT_ONCE = 20_000


class ExactDuplicatesConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ExactDuplicates(CorpusFilter):
    """Drops what has the text of an earlier document, by a hash of 128 bits. Reason: `exact_duplicate`."""

    Config = ExactDuplicatesConfig

    def __init__(self, config: ExactDuplicatesConfig) -> None:
        pass

    def observe(self, documents: pl.DataFrame) -> pl.DataFrame:
        digests = b"".join(
            hashlib.blake2b(text.encode(), digest_size=16).digest() for text in documents["text"]
        )
        halves = np.frombuffer(digests, dtype="<u8").reshape(-1, 2)
        return documents.select("number", low=pl.Series(halves[:, 0]), high=pl.Series(halves[:, 1]))

    def conclude(self, observations: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        for part in partitions("low", _num_rows(observations)):
            seen = observations.filter(part).collect()
            again = seen.filter(~pl.struct("low", "high").is_first_distinct())
            yield _verdict(again["number"], "exact_duplicate")


class NearDuplicatesConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    shingle_words: int = Field(default=5, ge=1, le=100)
    """The length of the runs of words that two documents may share."""
    bands: int = Field(default=14, ge=1, le=256)
    """Two documents are near duplicates if one of so many bands is equal."""
    rows: int = Field(default=8, ge=1, le=64)
    """Hashes in a band: documents of Jaccard similarity s meet with probability 1 - (1 - s^rows)^bands."""
    min_similarity: float | None = Field(default=None, gt=0, le=1)
    """Documents that meet are duplicates only if their exact Jaccard similarity is this at least; null trusts
    the hashes, as FineWeb does. Costs 8 bytes of disk for each word of the corpus."""
    seed: int = Field(default=1, ge=0, lt=2**63)
    """Of the hash functions."""


class NearDuplicates(CorpusFilter):
    """Drops what shares most of its runs of words with an earlier document. Reason: `near_duplicate`.

    MinHash (Broder 1997) with locality-sensitive hashing, in FineWeb's setting: runs of 5 words, 14 bands of
    8 hashes of 64 bits, so that a pair of similarity 0.8 is found with probability 0.92 and one of 0.5 with
    0.05. Documents that are linked by such pairs, also through others, are one group. Before comparison a
    text is lower-cased, stripped of diacritics and punctuation, and its numbers become 0. The score is the
    estimated similarity to the kept document.
    """

    Config = NearDuplicatesConfig

    def __init__(self, config: NearDuplicatesConfig) -> None:
        self._config = config

    def observe(self, documents: pl.DataFrame) -> pl.DataFrame:
        from prolepsis.text.corpus.shingles import shingle_hashes

        hashes, starts = shingle_hashes(documents["text"], self._config.shingle_words)
        has_words = np.diff(starts) > 0
        runs = [hashes[start:end] for start, end in pairwise(starts) if end > start]
        signatures = self._signatures(runs)
        columns = {f"band_{band}": values for band, values in enumerate(self._bands(signatures))}
        observed = documents.select("number").filter(has_words)
        observed = observed.with_columns(
            # Sixteen bits of a hash are enough to estimate similarities.
            signature=pl.Series(signatures.astype(np.uint16), dtype=pl.Array(pl.UInt16, self._num_hashes)),
            **{name: pl.Series(values, dtype=pl.UInt64) for name, values in columns.items()},
        )
        if self._config.min_similarity is not None:
            shingles = pl.Series(pa.LargeListArray.from_arrays(starts, hashes)).list.unique()
            observed = observed.with_columns(shingles=shingles.filter(has_words))
        return observed

    def conclude(self, observations: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        from prolepsis.text.corpus.groups import first_of_groups

        numbers = observations.select("number").collect()["number"].to_numpy()
        firsts = first_of_groups(len(numbers), self._pairs(observations, numbers))
        members = np.flatnonzero(firsts != np.arange(len(firsts)))
        for start in range(0, max(1, len(members)), _MEMBERS_AT_ONCE):
            part = members[start : start + _MEMBERS_AT_ONCE]
            yield self._scored(observations, numbers[part], numbers[firsts[part]])

    @property
    def _num_hashes(self) -> int:
        return self._config.bands * self._config.rows

    def _signatures(self, runs: list[npt.NDArray[np.uint64]]) -> npt.NDArray[np.uint64]:
        """The MinHashes of each set of runs, `[len(runs), bands * rows]`."""
        from rensa import CMinHash

        digests = CMinHash.digests64_from_token_hash_sets(runs, self._num_hashes, self._config.seed)
        return np.array(digests, dtype=np.uint64).reshape(-1, self._num_hashes)

    def _bands(self, signatures: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """One number for all hashes of a band, `[bands, len(signatures)]`."""
        hashes = signatures.reshape(-1, self._config.bands, self._config.rows)
        folded = np.zeros(hashes.shape[:2], np.uint64)
        for row in range(self._config.rows):
            # A polynomial modulo 2^64: unsigned arithmetic wraps, as wanted.
            folded = folded * np.uint64(0x9E3779B97F4A7C15) + hashes[:, :, row]
        return folded.T

    def _pairs(
        self, observations: pl.LazyFrame, numbers: npt.NDArray[np.uint64]
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Positions of documents that belong together, band by band."""
        checked = pl.DataFrame(schema={"left": pl.Int64, "right": pl.Int64})
        for band in range(self._config.bands):
            met = _met(observations.select(band=f"band_{band}").collect()["band"])
            if self._config.min_similarity is not None:
                # Only the first and the one before are compared: a bucket of n documents has n² pairs.
                met = met.unpivot(["first", "previous"], index="right", value_name="left")
                met = met.select("left", "right").unique(maintain_order=True)
                met = met.join(checked, on=["left", "right"], how="anti", maintain_order="left")
                checked = pl.concat([checked, met])
                met = self._similar(observations, numbers, met, self._config.min_similarity)
            else:
                met = met.select(pl.col("first").alias("left"), "right")
            yield met["left"].to_numpy(), met["right"].to_numpy()

    def _similar(
        self,
        observations: pl.LazyFrame,
        numbers: npt.NDArray[np.uint64],
        pairs: pl.DataFrame,
        min_similarity: float,
    ) -> pl.DataFrame:
        """The pairs whose sets of shingles have at least that Jaccard similarity."""
        kept = [pairs.clear()]
        for candidates in pairs.iter_slices(_PAIRS_AT_ONCE):
            part = candidates.with_columns(
                left_number=pl.Series(numbers[candidates["left"].to_numpy()]),
                right_number=pl.Series(numbers[candidates["right"].to_numpy()]),
            )
            sets = _rows_of(
                observations.select("number", "shingles"), part["left_number"], part["right_number"]
            )
            both = part.join(sets, left_on="left_number", right_on="number", maintain_order="left").join(
                sets, left_on="right_number", right_on="number", suffix="_right", maintain_order="left"
            )
            left, right = pl.col("shingles"), pl.col("shingles_right")
            shared = left.list.set_intersection(right).list.len()
            union = left.list.len() + right.list.len() - shared
            kept.append(both.filter(shared / union >= min_similarity).select("left", "right"))
        return pl.concat(kept)

    def _scored(
        self,
        observations: pl.LazyFrame,
        dropped: npt.NDArray[np.uint64],
        kept: npt.NDArray[np.uint64],
    ) -> pl.DataFrame:
        pairs = pl.DataFrame({"number": dropped, "kept": kept})
        signatures = _rows_of(observations.select("number", "signature"), pairs["number"], pairs["kept"])
        both = pairs.join(signatures, on="number", maintain_order="left").join(
            signatures, left_on="kept", right_on="number", suffix="_kept", maintain_order="left"
        )
        equal: Any = both["signature"].to_numpy() == both["signature_kept"].to_numpy()
        return _verdict(both["number"], "near_duplicate", pl.Series(equal.mean(axis=1), dtype=pl.Float64))


class ParagraphDuplicatesConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    min_characters: int = Field(default=40, ge=1)
    """Shorter paragraphs stay however often they occur: headings, stars between scenes."""


class ParagraphDuplicates(CorpusFilter):
    """Removes paragraphs that stand, with the same characters but for white space, earlier in the corpus.

    Takes out notices, menus and licences that many documents carry. A document of which nothing is left is
    dropped: `duplicate_paragraphs`. The score is the share of characters that were removed.
    """

    Config = ParagraphDuplicatesConfig

    def __init__(self, config: ParagraphDuplicatesConfig) -> None:
        self._config = config

    def observe(self, documents: pl.DataFrame) -> pl.DataFrame:
        paragraphs = (
            documents.select("number", part=_paragraphs(pl.col("text")))
            .with_columns(paragraph=pl.int_ranges(pl.col("part").list.len(), dtype=pl.UInt32))
            .explode("part", "paragraph", empty_as_null=True)
            .filter(pl.col("part").str.len_chars() >= self._config.min_characters)
        )
        words = pl.col("part").str.replace_all(r"\s+", " ").str.strip_chars()
        return paragraphs.select("number", "paragraph", hash=words.hash(seed=0))

    def conclude(self, observations: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        for part in partitions("hash", _num_rows(observations)):
            seen = observations.filter(part).collect()
            yield seen.filter(~pl.col("hash").is_first_distinct()).select("number", "paragraph")

    def judge(self, documents: pl.DataFrame, verdict: pl.DataFrame) -> pl.DataFrame:
        removed = verdict.group_by("number").agg(pl.col("paragraph").sort())
        joined = documents.join(removed, on="number", how="left", maintain_order="left")
        texts, reasons, scores = [], [], []
        for text, paragraphs in joined.select("text", "paragraph").iter_rows():
            rest = text if paragraphs is None else _without(text, paragraphs)
            texts.append(rest or text)
            reasons.append(None if rest else "duplicate_paragraphs")
            scores.append(None if paragraphs is None else 1 - len(rest) / len(text))
        return documents.with_columns(
            text=pl.Series(texts, dtype=pl.String),
            reason=pl.Series(reasons, dtype=pl.String),
            score=pl.Series(scores, dtype=pl.Float64),
        )


def _paragraphs(text: pl.Expr) -> pl.Expr:
    # Normalised text has one blank line, no more, between its paragraphs.
    return text.str.split("\n\n")


def _without(text: str, paragraphs: list[int]) -> str:
    removed = set(paragraphs)
    parts = text.split("\n\n")
    return "\n\n".join(part for index, part in enumerate(parts) if index not in removed).strip()


def _met(bands: pl.Series) -> pl.DataFrame:
    """Positions (`right`) with the first and the previous position that has the same value."""
    frame = pl.DataFrame({"band": bands}).with_row_index("right").with_columns(pl.col("right").cast(pl.Int64))
    shared = frame.filter(pl.col("band").is_duplicated())
    return shared.with_columns(
        first=pl.col("right").min().over("band"), previous=pl.col("right").shift(1).over("band")
    ).filter(pl.col("right") != pl.col("first"))


def _rows_of(observations: pl.LazyFrame, *numbers: pl.Series) -> pl.DataFrame:
    wanted = pl.concat(numbers).unique()
    return observations.filter(pl.col("number").is_in(wanted.implode())).collect()


def _num_rows(observations: pl.LazyFrame) -> int:
    return int(observations.select(pl.len()).collect().item())


def _verdict(numbers: pl.Series, reason: str, scores: pl.Series | None = None) -> pl.DataFrame:
    score: Iterable[Any] = pl.Series([None] * len(numbers), dtype=pl.Float64) if scores is None else scores
    return pl.DataFrame(
        {"number": numbers, "reason": [reason] * len(numbers), "score": score}, schema=VERDICT
    )
