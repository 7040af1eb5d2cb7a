"""Skip-gram on a GPU: the objective of `cpu_engine`, many windows at a time in PyTorch.

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
from prolepsis.text.word2vec.config import Word2VecConfig
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
        noise = AliasTable.build(vocabulary.noise_probabilities())
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
            targets, target_mask = self._targets(words[centres], generator)
            losses, input_gradients, output_gradients = window_gradients(
                self._inputs[contexts], self._outputs[targets], context_mask, target_mask
            )
            loss += losses.sum(dtype=torch.float64)
            pairs += context_mask.sum()
            if rates.first > 0.0:
                rate = (rates.first - rates.fall * positions[start]).clamp(min=rates.floor)
                _descend(self._inputs, contexts[context_mask], input_gradients[context_mask], rate)
                _descend(self._outputs, targets[target_mask], output_gradients[target_mask], rate)
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
        reach = torch.randint(1, window + 1, (len(centres), 1), generator=generator, device=self._device)
        places = centres[:, None] + distances
        inside = (places >= 0) & (places < len(words)) & (distances.abs() <= reach)
        places = places.clamp(0, len(words) - 1)
        return words[places], inside & (documents[places] == documents[centres][:, None])

    def _targets(self, centres: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Rows of each centre and its noise, and which are not the centre again, `[B, 1 + negatives]`."""
        shape = (len(centres), self._config.negatives)
        slots = torch.randint(len(self._aliases), shape, generator=generator, device=self._device)
        drawn = torch.rand(shape, generator=generator, device=self._device)
        noise = torch.where(drawn < self._thresholds[slots], slots, self._aliases[slots])
        targets = torch.cat([centres[:, None], noise], dim=1)
        mask = torch.cat(
            [torch.ones_like(centres[:, None], dtype=torch.bool), noise != centres[:, None]], dim=1
        )
        return targets, mask


def window_gradients(
    contexts: Tensor, targets: Tensor, context_mask: Tensor, target_mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss of each pair and the gradients of their sum.

    Args:
        contexts: input vectors of the words in each window `[B, C, D]`.
        targets: output vectors of its centre, then of its noise words `[B, T, D]`.
        context_mask: which contexts count `[B, C]`.
        target_mask: which targets count `[B, T]`.

    Returns:
        Losses `[B, C]`, the gradient of the contexts `[B, C, D]` and of the targets `[B, T, D]`.
    """
    signs = -torch.ones(targets.shape[1], dtype=targets.dtype, device=targets.device)
    signs[0] = 1.0
    mask = context_mask[:, :, None] & target_mask[:, None, :]
    scores = signs * (contexts @ targets.transpose(1, 2))
    losses = -(logsigmoid(scores) * mask).sum(2)
    slopes = -signs * torch.sigmoid(-scores) * mask
    return losses, slopes @ targets, slopes.transpose(1, 2) @ contexts


def _descend(table: Tensor, rows: Tensor, gradients: Tensor, rate: Tensor) -> None:
    """Moves each row of the table against the sum of its gradients `[N, D]`, as far as the cap allows."""
    sums = torch.zeros_like(table).index_add_(0, rows, gradients)
    updates = torch.bincount(rows, minlength=len(table)).to(table.dtype)
    steps = torch.minimum(rate.to(table.dtype), _LARGEST_STEP / updates.clamp(min=1.0))
    table.sub_(sums * steps[:, None])
