"""word2vec on the CPU: the loops of `kernels`; threads write to the same tables unlocked (Hogwild)."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prolepsis.text.word2vec.blocks import CACHE_LINE, Block, Rates, Tally, aligned_zeros
from prolepsis.text.word2vec.config import Word2VecConfig
from prolepsis.text.word2vec.huffman import HuffmanPaths
from prolepsis.text.word2vec.machine_code import KernelForm, Sampling, Scratch, load_kernel
from prolepsis.text.word2vec.vocabulary import AliasTable, Vocabulary

_FLOATS_PER_LINE = CACHE_LINE // 4  # rows that fill cache lines are read fastest


class CpuEngine:
    """Tables in main memory, trained by `run`, which any number of threads may call at the same time.

    Args:
        tables: input and output vectors `[V, dimension]`, taken over where their rows are whole cache lines,
            else copied; the arithmetic is done in their precision.
    """

    def __init__(
        self, vocabulary: Vocabulary, config: Word2VecConfig, tables: tuple[NDArray[Any], NDArray[Any]]
    ) -> None:
        self._config = config
        self._inputs, self._outputs = (_padded(table) for table in tables)
        noise, paths = AliasTable.empty(), HuffmanPaths.empty()
        if config.output == "hierarchical_softmax":
            paths = HuffmanPaths.build(vocabulary.counts)
        else:
            noise = AliasTable.build(vocabulary.noise_probabilities(config.noise_exponent))
        # Paths in whole lines, so that few lengths have code of their own.
        self._most_targets = _whole_lines(paths.longest) if len(paths.nodes) else config.negatives + 1
        keep = vocabulary.keep_probabilities(config.subsample).astype(np.float32)
        self._sampling = Sampling(
            vocabulary.rows, keep, noise.thresholds, noise.aliases, paths.offsets, paths.nodes, paths.signs
        )

    def run(self, block: Block, rates: Rates, seed: int) -> Tally:
        kernel = load_kernel(self._form(block.tokens.dtype))
        loss, pairs = kernel(
            tokens=np.ascontiguousarray(block.tokens),
            num_tokens=len(block.tokens),
            offsets=np.ascontiguousarray(block.offsets, np.int64),
            num_documents=len(block.offsets) - 1,
            num_ids=len(self._sampling.rows),
            num_nodes=len(self._sampling.path_nodes),
            inputs=self._inputs,
            outputs=self._outputs,
            num_rows=len(self._inputs),
            window=self._config.window,
            first_rate=rates.first,
            fall=rates.fall,
            floor=rates.floor,
            seed=seed,
            **self._sampling._asdict(),
            **Scratch.allocate(kernel.form, len(block.tokens))._asdict(),
        )
        return Tally(loss, pairs)

    def tables(self) -> tuple[NDArray[Any], NDArray[Any]]:
        dimension = self._config.dimension
        return self._inputs[:, :dimension], self._outputs[:, :dimension]

    def _form(self, token: np.dtype[Any]) -> KernelForm:
        config = self._config
        hierarchical = config.output == "hierarchical_softmax"
        return KernelForm(
            loop="skip_gram_by_pairs"
            if config.model == "skip_gram" and config.targets_per == "pair"
            else config.model,
            dimension=self._inputs.shape[1],
            most_targets=self._most_targets,
            hierarchical=hierarchical,
            # Hierarchical softmax has no step beyond the bound in word2vec.c and gensim alike.
            skip_saturated=hierarchical or config.saturation == "gensim",
            exact_gradient=config.model == "cbow" and config.cbow_gradient == "exact",
            shrink=config.shrink_windows,
            token=token.name,
            real=self._inputs.dtype.name,
        )


def _whole_lines(numbers: int) -> int:
    """The next multiple of what fills a cache line."""
    return math.ceil(numbers / _FLOATS_PER_LINE) * _FLOATS_PER_LINE


def _padded(table: NDArray[Any]) -> NDArray[Any]:
    """The table with zero columns up to a full cache line; they stay zero in training."""
    rows, dimension = table.shape
    is_whole = _whole_lines(dimension) == dimension and table.ctypes.data % CACHE_LINE == 0
    if is_whole and table.flags.c_contiguous and table.flags.writeable:
        return table
    padded = aligned_zeros((rows, _whole_lines(dimension)), table.dtype)
    padded[:, :dimension] = table
    return padded
