"""Pretraining: an objective, token shards and the training loop, and what comes out of them."""

import itertools
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prolepsis.errors import ProlepsisError
from prolepsis.files import fingerprint
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.hugging_face import PretrainedBert
from prolepsis.text.bert.objective import PretrainingBatch, PretrainingObjective, RowPlan
from prolepsis.text.token_shards import TokenShards, TokenSplit
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.training.config import TrainingConfig
from prolepsis.training.device import seed_everything
from prolepsis.training.loop import fit

# Validation examples and their hidden tokens are the same in every run, whatever its seed.
_VALIDATION_SEED = 0
_TOKENS_AT_ONCE = 1 << 22

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainingResult:
    """The model of the best epoch, a row of figures per epoch, and the final figures."""

    model: PretrainedBert
    curves: list[dict[str, float]]
    metrics: dict[str, float]


def pretrain(
    tokenizer: Tokenizer,
    tokens: TokenShards,
    objective: PretrainingObjective,
    model: BertConfig,
    training: TrainingConfig,
    *,
    steps_per_epoch: int | None = None,
    validation_rows: int = 1024,
) -> PretrainingResult:
    """Pretrains an encoder on the split `train` and keeps the weights that do best on `val`.

    Args:
        steps_per_epoch: optimizer steps from one validation to the next; None: one pass over the corpus.
        validation_rows: the most rows of `val` that are measured each time, always the same ones.

    Raises:
        ProlepsisError: the tokenizer is not the shards', its vocabulary or the rows do not fit the model, or
            a split is empty or too small.
    """
    tokens.require_tokenizer(tokenizer.hash)
    train = tokens.split("train")
    counts = token_counts(train, tokens.vocabulary_size)
    entropy = unigram_entropy(counts)
    _logger.info("Token frequencies alone give a loss of %.3f nats (unigram entropy).", entropy)
    seed_everything(training.seed)
    task = PretrainingTask(
        objective,
        objective.build_model(model, counts),
        train,
        tokens.split("val"),
        training,
        steps_per_epoch=steps_per_epoch,
        validation_rows=validation_rows,
    )
    made_by = {
        "model": model.model_dump(),
        "objective": {"class": type(objective).__name__, "config": objective.config.model_dump()},
        "tokens": {"tokenizer_hash": tokens.tokenizer_hash, "splits": tokens.meta["splits"]},
        "validation_rows": validation_rows,
    }
    result = fit(
        task,
        training,
        fingerprint=fingerprint(made_by),
        description="Pretraining BERT",
        note=lambda: f"{task.tokens_per_second():,.0f} tokens/s",
    )
    metrics = {
        "best_epoch": result.best_epoch,
        "steps": result.steps,
        **result.best_metrics,
        "unigram_entropy": entropy,
        "num_parameters": sum(parameter.numel() for parameter in task.model.parameters()),
        **task.figures(),
    }
    curves = [{**row, "unigram_entropy": entropy} for row in result.history]
    return PretrainingResult(
        PretrainedBert(task.model, tokenizer, {**made_by, "metrics": metrics}), curves, metrics
    )


class PretrainingTask:
    """What the training loop needs: batches from an endless sequence of passes over the corpus, and a loss.

    Batches are numbered through all passes, so that an epoch may be any number of steps and still every
    document is seen once before any is seen twice. The rows left over at the end of a pass, fewer than a
    batch, are dropped.
    """

    def __init__(
        self,
        objective: PretrainingObjective,
        model: Any,
        train: TokenSplit,
        validation: TokenSplit,
        training: TrainingConfig,
        *,
        steps_per_epoch: int | None,
        validation_rows: int,
    ) -> None:
        self.model = model
        self._objective = objective
        self._train = train
        self._batch_size = training.batch_size
        self._accumulation_steps = training.accumulation_steps
        self._seed = training.seed
        self._pass_index, self._pass = 0, self._plan(0)
        self._steps = steps_per_epoch or self._num_batches(self._pass) // self._accumulation_steps
        self._validation_objective = objective.for_validation()
        self._validation = self._validation_objective.plan(validation, _VALIDATION_SEED, 0)
        if not len(self._validation):
            raise ProlepsisError(
                "There is nothing to validate on: the split 'val' has no tokens.",
                where=f"split {validation.name!r} of the token shards",
                remedy="Give the corpus more documents, or a larger share of them to validation.",
            )
        self._validation_rows = np.arange(min(validation_rows, len(self._validation)))
        self._tokens_seen = 0
        self._seconds = 0.0
        self._last_time = 0.0

    def steps_per_epoch(self) -> int:
        return self._steps

    def batches(self, epoch: int, first_step: int) -> Iterator[PretrainingBatch]:
        self._last_time = time.perf_counter()
        first = (epoch * self._steps + first_step) * self._accumulation_steps
        count = (self._steps - first_step) * self._accumulation_steps
        return itertools.islice(self._batches_from(first), count)

    def loss(self, batch: PretrainingBatch, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
        self._count(batch.num_real_tokens)
        measures = self._objective.measure(self.model, batch.to(device))
        named = {**measures.losses, **measures.others}
        return measures.loss, {name: measure.mean for name, measure in named.items()}

    def validate(self, device: torch.device) -> dict[str, float]:
        """Means over the validation rows' hidden tokens or examples; `validation_loss` sums the losses."""
        self._count(0)
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        losses: set[str] = set()
        for start in range(0, len(self._validation_rows), self._batch_size):
            batch = self._validation.batch(self._validation_rows[start : start + self._batch_size])
            measures = self._validation_objective.measure(self.model, batch.to(device))
            losses |= measures.losses.keys()
            for name, measure in {**measures.losses, **measures.others}.items():
                totals[name] = totals.get(name, 0.0) + float(measure.total)
                counts[name] = counts.get(name, 0) + measure.count
        means = {name: totals[name] / counts[name] for name in totals}
        _logger.info("Validation: %s", ", ".join(f"{name} {value:.3f}" for name, value in means.items()))
        return {
            "validation_loss": math.fsum(means[name] for name in sorted(losses)),
            **{f"validation_{name}": value for name, value in means.items()},
        }

    def figures(self) -> dict[str, float]:
        """How full the rows are, and the speed of training in this process (validation aside)."""
        capacity = len(self._pass) * self._objective.max_length
        return {
            "real_token_share": self._pass.num_real_tokens / capacity,
            "real_tokens_per_second": self.tokens_per_second(),
        }

    def tokens_per_second(self) -> float:
        """Tokens that are not padding, over the time that went into training on them."""
        return self._tokens_seen / self._seconds if self._seconds else 0.0

    def _count(self, num_tokens: int) -> None:
        """Adds tokens that training is about to see, and the time since the last were added."""
        now = time.perf_counter()
        self._seconds += now - self._last_time
        self._last_time = now
        self._tokens_seen += num_tokens

    def _batches_from(self, first: int) -> Iterator[PretrainingBatch]:
        for pass_index in itertools.count():
            if pass_index != self._pass_index:
                self._pass_index, self._pass = pass_index, self._plan(pass_index)
            num_batches = self._num_batches(self._pass)
            for number in range(first, num_batches):
                start = number * self._batch_size
                yield self._pass.batch(np.arange(start, start + self._batch_size))
            first = max(0, first - num_batches)

    def _plan(self, pass_index: int) -> RowPlan:
        plan = self._objective.plan(self._train, self._seed, pass_index)
        if self._num_batches(plan) == 0:
            raise ProlepsisError(
                f"The training split fills {len(plan)} rows of {self._objective.max_length} tokens, "
                f"fewer than a batch of {self._batch_size}.",
                where=f"split {self._train.name!r} of the token shards",
                remedy="Give it more text, or make training.batch_size smaller.",
            )
        return plan

    def _num_batches(self, plan: RowPlan) -> int:
        return len(plan) // self._batch_size


def token_counts(split: TokenSplit, vocabulary_size: int) -> NDArray[np.int64]:
    """How often each token occurs in the split, int64 [vocabulary_size]."""
    counts = np.zeros(vocabulary_size, np.int64)
    for start in range(0, split.num_tokens, _TOKENS_AT_ONCE):
        counts += np.bincount(split.tokens(start, start + _TOKENS_AT_ONCE), minlength=vocabulary_size)
    return counts


def unigram_entropy(counts: NDArray[np.int64]) -> float:
    """The entropy of token frequencies in nats.

    It is the loss of a model that knows how frequent each token is and nothing else. A masked loss that stays
    there has not begun to learn from context.
    """
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
