"""Hierarchical softmax's tree: a word is predicted by the branches that lead to it (Morin and Bengio 2005).

The tree is Huffman's, so that frequent words have short paths, built as in word2vec.c: where counts tie, a
node that joins others goes before a word. So one vocabulary has one tree.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class HuffmanPaths:
    """The inner nodes above each word, root first.

    Attributes:
        offsets: where each word's path begins in the others, and the last ends, int64 `[V + 1]`.
        nodes: numbers of inner nodes, 0 to V - 2, the root the last; int32 `[P]`.
        signs: the branch taken from each: 1 to the rarer side, which word2vec.c codes 0, else -1; int8 `[P]`.
    """

    offsets: NDArray[np.int64]
    nodes: NDArray[np.int32]
    signs: NDArray[np.int8]

    @classmethod
    def empty(cls) -> "HuffmanPaths":
        """The paths of no words."""
        return cls(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.int8))

    @classmethod
    def build(cls, counts: NDArray[np.int64]) -> "HuffmanPaths":
        """The paths of two or more words, by their counts, largest first `[V]`."""
        parents, signs = _join(counts.tolist())
        num_words = len(counts)
        root = 2 * num_words - 2
        words = np.arange(num_words)
        places, levels = words, []
        while len(words):  # one level nearer to the root each time
            levels.append((words, parents[places] - num_words, signs[places]))
            places = parents[places]
            words, places = words[places != root], places[places != root]
        owners = np.concatenate([owner for owner, _, _ in levels])
        heights = np.repeat(np.arange(len(levels)), [len(owner) for owner, _, _ in levels])
        order = np.lexsort((-heights, owners))
        lengths = np.bincount(owners, minlength=num_words)
        nodes, branches = (np.concatenate([level[part] for level in levels])[order] for part in (1, 2))
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return cls(offsets.astype(np.int64), nodes.astype(np.int32), branches.astype(np.int8))

    @property
    def longest(self) -> int:
        """The number of nodes on the longest path."""
        return int(np.diff(self.offsets).max())


def _join(counts: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Parent and branch of every node but the root, words first, then inner nodes as they were made."""
    num_words = len(counts)
    parents, signs = np.zeros(2 * num_words - 1, np.int64), np.ones(2 * num_words - 1, np.int64)
    weights = counts.copy()
    word, joined = num_words - 1, num_words  # the lightest of each kind that has no parent yet
    for parent in range(num_words, 2 * num_words - 1):
        lightest = []
        for _ in range(2):
            if word >= 0 and (joined >= parent or weights[word] < weights[joined]):
                lightest.append(word)
                word -= 1
            else:
                lightest.append(joined)
                joined += 1
        weights.append(weights[lightest[0]] + weights[lightest[1]])
        parents[lightest] = parent
        signs[lightest[1]] = -1
    return parents, signs
