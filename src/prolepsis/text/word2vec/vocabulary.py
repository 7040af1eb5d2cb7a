"""Which tokens word2vec learns, how often each is kept, and how often each is drawn as noise."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prolepsis.errors import ProlepsisError
from prolepsis.text.word2vec.blocks import Blocks
from prolepsis.training.progress import track

if TYPE_CHECKING:
    from prolepsis.text.token_shards import TokenSplit

_COUNTED_AT_ONCE = 1 << 16  # tokens; a few arrays of this length are in memory


@dataclass(frozen=True)
class Vocabulary:
    """The tokens that have a vector, most frequent first; a row number stands for each.

    Attributes:
        ids: token id of each row, int64 `[V]`.
        counts: occurrences of each row in the training split, int64 `[V]`.
        languages: the language in which each row is relatively most frequent, None if no document has one.
        rows: row of each token id, int32 `[vocabulary_size]`; -1 for one without a vector.
    """

    ids: NDArray[np.int64]
    counts: NDArray[np.int64]
    languages: list[str | None]
    rows: NDArray[np.int32]

    @classmethod
    def count(
        cls, split: "TokenSplit", vocabulary_size: int, min_count: int, excluded_ids: list[int]
    ) -> "Vocabulary":
        """Counts the split's tokens; leaves out those rarer than `min_count` and the excluded ones.

        Raises:
            ProlepsisError: no two tokens are left.
        """
        names, counts_by_language = _count_by_language(split, vocabulary_size)
        counts = counts_by_language.sum(axis=0)
        counts[excluded_ids] = 0
        kept = np.flatnonzero(counts >= max(min_count, 1))
        if len(kept) < 2:
            raise ProlepsisError(
                f"Only {len(kept)} tokens occur {min_count} times or more in the training split.",
                where="word2vec.min_count",
                remedy="lower min_count, or train on more text",
            )
        ids = kept[np.argsort(-counts[kept], kind="stable")]
        rows = np.full(vocabulary_size, -1, dtype=np.int32)
        rows[ids] = np.arange(len(ids), dtype=np.int32)
        # Of two corpora of unequal size the larger has more of every word; shares tell where it belongs.
        shares = counts_by_language[:, ids] / np.maximum(counts_by_language.sum(axis=1, keepdims=True), 1)
        languages = [names[number] for number in shares.argmax(axis=0)]
        return cls(ids, counts[ids], languages, rows)

    @property
    def num_tokens(self) -> int:
        """Occurrences of all rows in the training split."""
        return int(self.counts.sum())

    def keep_probabilities(self, threshold: float) -> NDArray[np.float64]:
        """How often an occurrence of each row is trained on, `[V]` in 0 to 1.

        word2vec.c: (sqrt(f / t) + 1) * t / f for a relative frequency f and a threshold t; 0 keeps all.
        """
        if threshold == 0.0:
            return np.ones(len(self.counts))
        ratio = threshold * self.num_tokens / self.counts
        return np.minimum(np.sqrt(ratio) + ratio, 1.0)

    def noise_probabilities(self, exponent: float) -> NDArray[np.float64]:
        """How often each row is drawn as a negative, `[V]`: counts to that power, summing to 1."""
        weights = self.counts.astype(np.float64) ** exponent
        return np.asarray(weights / weights.sum())


def _count_by_language(
    split: "TokenSplit", vocabulary_size: int
) -> tuple[list[str | None], NDArray[np.int64]]:
    """The languages of the documents, and how often each token is in each, int64 `[L, vocabulary_size]`."""
    names, codes = split.language_names, split.language_codes.astype(np.int64)
    counts = np.zeros((len(names), vocabulary_size), dtype=np.int64)
    cells_of_all = counts.reshape(-1)
    document = 0
    blocks = Blocks(split, _COUNTED_AT_ONCE)
    for block in track((blocks[i] for i in range(len(blocks))), "Counting tokens", len(blocks), "blocks"):
        lengths = np.diff(block.offsets)
        languages = np.repeat(codes[document : document + len(lengths)], lengths)
        cells = languages * vocabulary_size + block.tokens
        np.add.at(cells_of_all, cells, 1)
        document += len(lengths)
    return names, counts


@dataclass(frozen=True)
class AliasTable:
    """Draws from a discrete distribution with two random numbers (Walker 1977; built as by Vose 1991).

    A draw takes a slot uniformly, then the slot itself with its `threshold`, else its `alias`.

    Attributes:
        thresholds: float32 `[V]`, 0 to 1.
        aliases: int32 `[V]`.
    """

    thresholds: NDArray[np.float32]
    aliases: NDArray[np.int32]

    @classmethod
    def build(cls, probabilities: NDArray[np.float64]) -> "AliasTable":
        """The table of a distribution that sums to 1."""
        scaled = probabilities * len(probabilities)
        aliases = np.arange(len(scaled), dtype=np.int32)
        small = [int(i) for i in np.flatnonzero(scaled < 1.0)]
        large = [int(i) for i in np.flatnonzero(scaled >= 1.0)]
        while small and large:
            poor, rich = small.pop(), large[-1]
            aliases[poor] = rich
            scaled[rich] -= 1.0 - scaled[poor]
            if scaled[rich] < 1.0:
                small.append(large.pop())
        # What is left differs from 1 by rounding only.
        scaled[small + large] = 1.0
        return cls(scaled.astype(np.float32), aliases)

    @classmethod
    def empty(cls) -> "AliasTable":
        """Nothing to draw from."""
        return cls(np.empty(0, np.float32), np.empty(0, np.int32))

    def probabilities(self) -> NDArray[np.float64]:
        """The distribution that the table draws from."""
        thresholds = self.thresholds.astype(np.float64)
        drawn = thresholds + np.bincount(self.aliases, 1.0 - thresholds, minlength=len(thresholds))
        return np.asarray(drawn / len(thresholds))
