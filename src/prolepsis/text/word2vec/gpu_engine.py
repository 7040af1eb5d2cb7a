"""word2vec on a GPU: the objectives of `cpu_engine`, many windows at a time in PyTorch.

All windows of a batch see the tables from before it. Summing the updates of a frequent word over thousands of
windows would overshoot until the numbers overflow, so a row moves at most `_LARGEST_STEP` times the mean of
its updates; where it has few, it moves by their plain sum, as one after the other would give.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from prolepsis.text.word2vec.blocks import Block, Rates, Tally
from prolepsis.text.word2vec.config import SATURATION, Word2VecConfig
from prolepsis.text.word2vec.huffman import HuffmanPaths
from prolepsis.text.word2vec.vocabulary import AliasTable, Vocabulary

_LARGEST_STEP = 0.4  # 16 updates at the usual learning rate of 0.025


class GpuEngine:
    """Tables on a device, trained by `run`, one call at a time.

    Args:
        tables: input and output vectors `[V, dimension]`; the arithmetic is done in their precision.
        windows_per_batch: windows that are trained on at once.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        config: Word2VecConfig,
        tables: tuple[NDArray[Any], NDArray[Any]],
        device: torch.device,
        windows_per_batch: int = 4096,
    ) -> None:
        self._config = config
        self._device = device
        self._windows_per_batch = windows_per_batch
        self._inputs, self._outputs = (torch.tensor(table, device=device) for table in tables)
        self._rows = torch.tensor(vocabulary.rows.astype(np.int64), device=device)
        keep = vocabulary.keep_probabilities(config.subsample)
        self._keep = torch.tensor(keep.astype(np.float32), device=device)
        self._hierarchical = config.output == "hierarchical_softmax"
        self._skip_saturated = self._hierarchical or config.saturation == "gensim"
        if self._hierarchical:
            nodes, signs = _padded_paths(HuffmanPaths.build(vocabulary.counts))
            self._nodes, self._signs = (torch.tensor(part, device=device) for part in (nodes, signs))
        else:
            noise = AliasTable.build(vocabulary.noise_probabilities(config.noise_exponent))
            self._thresholds = torch.tensor(noise.thresholds, device=device)
            self._aliases = torch.tensor(noise.aliases.astype(np.int64), device=device)

    @torch.no_grad()
    def run(self, block: Block, rates: Rates, seed: int) -> Tally:
        generator = torch.Generator(self._device).manual_seed(seed)
        words, documents, positions = self._kept_words(block, generator)
        loss = torch.zeros((), dtype=torch.float64, device=self._device)
        pairs = torch.zeros((), dtype=torch.int64, device=self._device)
        for start in range(0, len(words), self._windows_per_batch):
            centres = torch.arange(
                start, min(start + self._windows_per_batch, len(words)), device=self._device
            )
            contexts, context_mask = self._contexts(words, documents, centres, generator)
            predicted = words[centres]
            if self._config.model == "skip_gram" and self._config.targets_per == "pair":
                predicted = predicted[:, None].expand_as(contexts)[context_mask]
                contexts, context_mask = contexts[context_mask][:, None], context_mask[context_mask][:, None]
            targets, signs = self._targets(predicted, generator)
            hidden, hidden_mask = self._hidden(contexts, context_mask)
            losses, hidden_gradients, output_gradients = window_gradients(
                hidden, self._outputs[targets], hidden_mask, signs, self._skip_saturated
            )
            loss += losses.sum(dtype=torch.float64)
            pairs += hidden_mask.sum()
            if rates.first > 0.0:
                rate = (rates.first - rates.fall * positions[start]).clamp(min=rates.floor)
                input_gradients = self._input_gradients(hidden_gradients, context_mask)
                _descend(self._inputs, contexts[context_mask], input_gradients[context_mask], rate)
                _descend(self._outputs, targets[signs != 0], output_gradients[signs != 0], rate)
        return Tally(float(loss), int(pairs))

    def tables(self) -> tuple[NDArray[Any], NDArray[Any]]:
        return self._inputs.cpu().numpy().copy(), self._outputs.cpu().numpy().copy()

    def _kept_words(self, block: Block, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Rows, documents and positions in the block of the words that subsampling leaves, `[N]` each."""
        rows = self._rows[torch.tensor(block.tokens.astype(np.int64), device=self._device)]
        lengths = torch.tensor(np.diff(block.offsets), device=self._device)
        documents = torch.repeat_interleave(torch.arange(len(lengths), device=self._device), lengths)
        drawn = torch.rand(len(rows), generator=generator, device=self._device)
        kept = torch.nonzero((rows >= 0) & (drawn < self._keep[rows.clamp(min=0)])).squeeze(1)
        return rows[kept], documents[kept], kept

    def _contexts(
        self, words: Tensor, documents: Tensor, centres: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Rows of the words around each centre, and which of them lie in its window, `[B, 2 window]` each."""
        window = self._config.window
        distances = torch.arange(-window, window + 1, device=self._device)
        distances = distances[distances != 0]
        reach = torch.full((len(centres), 1), window, device=self._device)
        if self._config.shrink_windows:
            reach = torch.randint(1, window + 1, reach.shape, generator=generator, device=self._device)
        places = centres[:, None] + distances
        inside = (places >= 0) & (places < len(words)) & (distances.abs() <= reach)
        places = places.clamp(0, len(words) - 1)
        return words[places], inside & (documents[places] == documents[centres][:, None])

    def _hidden(self, contexts: Tensor, context_mask: Tensor) -> tuple[Tensor, Tensor]:
        """What predicts, `[B, H, D]`, and which of it counts: each context, or in CBOW the mean of them."""
        vectors = self._inputs[contexts]
        if self._config.model == "skip_gram":
            return vectors, context_mask
        sums = (vectors * context_mask[:, :, None]).sum(1, keepdim=True)
        counts = context_mask.sum(1)[:, None]
        return sums / counts.clamp(min=1)[:, :, None], counts > 0

    def _input_gradients(self, hidden_gradients: Tensor, context_mask: Tensor) -> Tensor:
        """The step of each context `[B, C, D]`, from the gradient of what predicts."""
        if self._config.model == "skip_gram":
            return hidden_gradients
        if self._config.cbow_gradient == "exact":
            hidden_gradients = hidden_gradients / context_mask.sum(1).clamp(min=1)[:, None, None]
        return hidden_gradients.expand(-1, context_mask.shape[1], -1)

    def _targets(self, centres: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The output rows that predict each centre, and the signs their scores should have, `[B, T]` each.

        A sign of zero leaves a target out.
        """
        if self._hierarchical:
            return self._nodes[centres], self._signs[centres]
        shape = (len(centres), self._config.negatives)
        slots = torch.randint(len(self._aliases), shape, generator=generator, device=self._device)
        drawn = torch.rand(shape, generator=generator, device=self._device)
        noise = torch.where(drawn < self._thresholds[slots], slots, self._aliases[slots])
        own = torch.ones_like(centres[:, None])
        signs = torch.cat([own, -(noise != centres[:, None]).to(own.dtype)], dim=1)
        return torch.cat([centres[:, None], noise], dim=1), signs


def _padded_paths(paths: HuffmanPaths) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Nodes and signs of the paths `[V, longest]`; signs are zero beyond a path's end."""
    lengths = np.diff(paths.offsets)
    words = np.repeat(np.arange(len(lengths)), lengths)
    places = np.arange(len(paths.nodes)) - np.repeat(paths.offsets[:-1], lengths)
    nodes, signs = (np.zeros((len(lengths), paths.longest), np.int64) for _ in range(2))
    nodes[words, places], signs[words, places] = paths.nodes, paths.signs
    return nodes, signs


def window_gradients(
    hidden: Tensor, targets: Tensor, hidden_mask: Tensor, signs: Tensor, skip_saturated: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss of each prediction and the gradients of their sum, within ±6; beyond, the steps of word2vec.c.

    Args:
        hidden: what predicts in each window `[B, H, D]`.
        targets: output vectors of its targets `[B, T, D]`.
        hidden_mask: which of `hidden` count `[B, H]`.
        signs: the signs that the scores should have, 0 for a target that does not count `[B, T]`.
        skip_saturated: whether a score beyond ±6 on the wrong side gives no step instead of a full one.

    Returns:
        Losses `[B, H]`, the gradient of `hidden` `[B, H, D]` and of the targets `[B, T, D]`.
    """
    mask = hidden_mask[:, :, None] & (signs != 0)[:, None, :]
    signs = signs[:, None, :].to(hidden.dtype)
    margins = signs * (hidden @ targets.transpose(1, 2))
    losses = -(logsigmoid(margins) * mask).sum(2)
    errors = torch.sigmoid(-margins)
    saturated = (margins < 0).to(errors.dtype) * (not skip_saturated)
    errors = torch.where(margins.abs() < SATURATION, errors, saturated)
    slopes = -signs * errors * mask
    return losses, slopes @ targets, slopes.transpose(1, 2) @ hidden


def _descend(table: Tensor, rows: Tensor, gradients: Tensor, rate: Tensor) -> None:
    """Moves each row of the table against the sum of its gradients `[N, D]`, as far as the cap allows.

    Takes time and memory for the rows that occur, however many the table has.
    """
    moved, places, updates = torch.unique(rows, return_inverse=True, return_counts=True)
    sums = gradients.new_zeros(len(moved), table.shape[1]).index_add_(0, places, gradients)
    steps = torch.minimum(rate.to(table.dtype), _LARGEST_STEP / updates.to(table.dtype))
    table.index_add_(0, moved, sums * -steps[:, None])
