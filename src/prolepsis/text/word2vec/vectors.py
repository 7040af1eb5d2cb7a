"""Trained word vectors: in memory, and as a folder that this project and others read.

vectors.safetensors   `vectors` float32 [V, dimension]
vocabulary.parquet    word, count, language: one row per vector, most frequent first
config.json           what made them, and their scores in training
vectors.txt           word2vec's text format, for gensim and everything else that reads it
vectors.bin           word2vec's binary format, which is read many times as fast

>>> vectors = WordVectors.load(Path("data/06_models/word_vectors"))     # doctest: +SKIP
>>> vectors.neighbours("river", count=3)                                # doctest: +SKIP
[('valley', 0.74), ('rivers', 0.73), ('tributary', 0.71)]
"""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from prolepsis.errors import ProlepsisError
from prolepsis.files import atomic_directory, read_json, write_json

if TYPE_CHECKING:
    import polars as pl

_VECTORS, _VOCABULARY, _CONFIG = "vectors.safetensors", "vocabulary.parquet", "config.json"
_TEXT, _BINARY = "vectors.txt", "vectors.bin"
_LEAST_LIKENESS = 0.6  # of a spelling that is offered; difflib's measure, 1 for equal words


@dataclass(frozen=True, eq=False)
class WordVectors:
    """A vector for each word.

    Attributes:
        words: unique names without white space, most frequent first; a piece that continues a word begins
            with `##`.
        counts: occurrences in the training split, int64 `[V]`.
        languages: the language in which each word is relatively most frequent, None where no document has
            one.
        vectors: float32 `[V, dimension]`.
        metadata: JSON-like; what made them.
    """

    words: list[str]
    counts: NDArray[np.int64]
    languages: list[str | None]
    vectors: NDArray[np.float32]
    metadata: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.words)

    @property
    def dimension(self) -> int:
        return int(self.vectors.shape[1])

    @cached_property
    def rows(self) -> dict[str, int]:
        """The row of each word."""
        return {word: row for row, word in enumerate(self.words)}

    @cached_property
    def unit_vectors(self) -> NDArray[np.float32]:
        """The vectors at length 1, so that a product is a cosine."""
        lengths = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        return np.asarray(self.vectors / np.maximum(lengths, np.finfo(np.float32).tiny))

    @cached_property
    def is_whole_word(self) -> NDArray[np.bool_]:
        """Which names are words to a person: letters only, not a piece inside a word `[V]`."""
        return np.array([word.isalpha() for word in self.words], dtype=bool)

    def neighbours(self, word: str, count: int = 10) -> list[tuple[str, float]]:
        """The whole words whose vectors have the largest cosine with that of `word`.

        Raises:
            ProlepsisError: the word has no vector.
        """
        row = self._row(word)
        return self._nearest(self.unit_vectors[row], [row], count)

    def analogies(self, a: str, b: str, c: str, count: int = 10) -> list[tuple[str, float]]:
        """What is to `c` as `b` is to `a`: the whole words nearest to `b - a + c` of unit vectors.

        Raises:
            ProlepsisError: one of the words has no vector.
        """
        rows = [self._row(word) for word in (a, b, c)]
        first, second, third = self.unit_vectors[rows]
        point = second - first + third
        length = max(float(np.linalg.norm(point)), float(np.finfo(np.float32).tiny))
        return self._nearest(point / np.float32(length), rows, count)

    def nearest_spelling(self, word: str) -> str | None:
        """The whole word that is written most like `word`; one that differs in case only comes first."""
        whole = [known for known, is_whole in zip(self.words, self.is_whole_word, strict=True) if is_whole]
        folded = word.casefold()
        same = next((known for known in whole if known.casefold() == folded), None)
        near = difflib.get_close_matches(word, whole, n=1, cutoff=_LEAST_LIKENESS)
        return same or next(iter(near), None)

    def _row(self, word: str) -> int:
        if word not in self.rows:
            near = self.nearest_spelling(word)
            raise ProlepsisError(
                f"The word {word!r} has no vector." + (f" Did you mean {near!r}?" if near else ""),
                remedy="it is too rare or split by the tokenizer: lower min_count, or enlarge its vocabulary",
            )
        return self.rows[word]

    def _nearest(self, point: NDArray[np.float32], asked: list[int], count: int) -> list[tuple[str, float]]:
        """The whole words of largest cosine with a unit vector, but for the rows that were asked about."""
        cosines = self.unit_vectors @ point
        cosines[~self.is_whole_word] = -np.inf
        cosines[asked] = -np.inf
        best = np.argsort(-cosines, kind="stable")[:count]
        return [(self.words[i], float(cosines[i])) for i in best if np.isfinite(cosines[i])]

    def save(self, directory: Path) -> None:
        """Writes the folder, whole or not at all."""
        with atomic_directory(directory) as temporary:
            save_file({"vectors": np.ascontiguousarray(self.vectors)}, temporary / _VECTORS)
            self._vocabulary().write_parquet(temporary / _VOCABULARY)
            write_json(temporary / _CONFIG, self.metadata)
            self._write_text(temporary / _TEXT)
            self._write_binary(temporary / _BINARY)

    def _write_text(self, path: Path) -> None:
        with path.open("w", encoding="utf-8") as file:
            file.write(f"{len(self)} {self.dimension}\n")
            for word, vector in zip(self.words, self.vectors, strict=True):
                # Nine digits bring a float32 back exactly.
                file.write(word + " " + " ".join(f"{value:.9g}" for value in vector.tolist()) + "\n")

    def _write_binary(self, path: Path) -> None:
        with path.open("wb") as file:
            file.write(f"{len(self)} {self.dimension}\n".encode())
            for word, vector in zip(self.words, self.vectors, strict=True):
                file.write(word.encode() + b" " + vector.astype("<f4").tobytes() + b"\n")

    @classmethod
    def load(cls, directory: Path) -> "WordVectors":
        """Reads a folder that `save` wrote; raises ProlepsisError if it is not one."""
        import polars as pl

        if not directory.exists():
            raise ProlepsisError(
                "No word vectors have been trained.",
                where=directory,
                remedy="Run 'kedro run --pipelines word2vec'.",
            )
        try:
            vectors = load_file(directory / _VECTORS)["vectors"]
            vocabulary = pl.read_parquet(directory / _VOCABULARY)
            metadata = read_json(directory / _CONFIG)
            if len(vectors) != len(vocabulary):
                raise ValueError(f"{len(vectors)} vectors for {len(vocabulary)} words")
            words, languages = vocabulary["word"].to_list(), vocabulary["language"].to_list()
            return cls(words, vocabulary["count"].to_numpy(), languages, vectors, metadata)
        except (SafetensorError, pl.exceptions.PolarsError, OSError, ValueError, KeyError) as error:
            raise ProlepsisError(
                f"These are not word vectors: {error}",
                where=directory,
                remedy="train them again with 'kedro run --pipelines word2vec'",
            ) from error

    def profile(self) -> "pl.DataFrame":
        """One row per word: `word`, `count`, `language`, `norm`, `finite`."""
        import polars as pl

        norms = np.linalg.norm(self.vectors.astype(np.float64), axis=1)
        return self._vocabulary().with_columns(
            norm=pl.Series(norms, dtype=pl.Float64), finite=pl.Series(np.isfinite(norms))
        )

    def _vocabulary(self) -> "pl.DataFrame":
        # Here, since training comes this way, and needs no polars.
        import polars as pl

        columns = {"word": self.words, "count": self.counts, "language": self.languages}
        return pl.DataFrame(columns, schema={"word": pl.String, "count": pl.Int64, "language": pl.String})


def unique_names(names: Sequence[str], ids: Sequence[int]) -> list[str]:
    """Names that a text format can hold: white space as `<0A>`, and `<id>` after one that is there twice."""
    visible = ["".join(f"<{ord(c):02X}>" if c.isspace() else c for c in name) for name in names]
    times = Counter(visible)
    return [
        f"{name}<{token_id}>" if times[name] > 1 or not name else name
        for name, token_id in zip(visible, ids, strict=True)
    ]
