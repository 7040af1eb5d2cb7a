"""Pretraining: an objective, token shards and the training loop, and what comes out of them."""

import itertools
import logging
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prolepsis.errors import ProlepsisError
from prolepsis.files import fingerprint
from prolepsis.text.bert.attention import without_flex_attention
from prolepsis.text.bert.config import BertConfig, LengthWarmup
from prolepsis.text.bert.decoder import Decoder
from prolepsis.text.bert.evaluation import predict_hidden_tokens
from prolepsis.text.bert.hugging_face import PretrainedBert
from prolepsis.text.bert.model import BertEncoder
from prolepsis.text.bert.objective import PretrainingBatch, PretrainingObjective, RowPlan
from prolepsis.text.token_shards import TokenShards, TokenSplit
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.training.ahead import made_ahead
from prolepsis.training.arithmetic import count_products, peak_rate
from prolepsis.training.config import TrainingConfig
from prolepsis.training.device import resolve_precision, seed_everything
from prolepsis.training.loop import fit

# Validation examples and their hidden tokens are the same in every run, whatever its seed.
_VALIDATION_SEED = 0
_TOKENS_AT_ONCE = 1 << 22
# Passes of the part of a run after the length warm-up: none repeats one of the part before.
_FIRST_LATER_PASS = 1 << 20
# By when a run should predict better than token frequencies do, as a share of its steps.
_PROBATION = 0.1
_ROWS_TO_COUNT = 8
# Backward computes two products for each of forward's.
_PRODUCTS_PER_FORWARD_PRODUCT = 3


_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainingResult:
    """The model of the best epoch, a row of figures per epoch, and the final figures."""

    model: PretrainedBert
    curves: list[dict[str, float]]
    metrics: dict[str, float | None]


def pretrain(
    tokenizer: Tokenizer,
    tokens: TokenShards,
    objective: PretrainingObjective,
    model: BertConfig,
    training: TrainingConfig,
    *,
    steps_per_epoch: int | None = None,
    validation_rows: int = 1024,
    length_warmup: LengthWarmup | None = None,
) -> PretrainingResult:
    """Pretrains an encoder on the split `train` and keeps the weights that do best on `val`.

    Args:
        steps_per_epoch: optimizer steps from one validation to the next; None: one pass over the corpus.
        validation_rows: the most rows of `val` that are measured each time, always the same ones.
        length_warmup: shorter rows for the first part of the run; None: rows of one length.

    Raises:
        ProlepsisError: the tokenizer is not the shards', its vocabulary or the rows do not fit the model, or
            a split is empty or too small.
    """
    tokens.require_tokenizer(tokenizer.hash)
    counts = token_counts(tokens.split("train"), tokens.vocabulary_size)
    entropy = unigram_entropy(counts) if objective.compares_with_unigram_entropy else None
    if entropy is not None:
        _logger.info("Token frequencies alone give a loss of %.3f nats (unigram entropy).", entropy)
    seed_everything(training.seed)
    task = PretrainingTask(
        objective,
        objective.build_model(model, counts),
        tokens,
        training,
        steps_per_epoch=steps_per_epoch,
        validation_rows=validation_rows,
        length_warmup=length_warmup,
        entropy=entropy,
    )
    made_by = {
        "model": model.model_dump(),
        "objective": {"class": type(objective).__name__, "config": objective.config.model_dump()},
        "tokens": {"tokenizer_hash": tokens.tokenizer_hash, "splits": tokens.meta["splits"]},
        "validation_rows": validation_rows,
        "length_warmup": None if length_warmup is None else length_warmup.model_dump(),
    }
    result = fit(
        task,
        training,
        fingerprint=fingerprint(made_by),
        description="Pretraining BERT",
        note=task.speed.note,
    )
    metrics: dict[str, float | None] = {
        "best_epoch": result.best_epoch,
        "steps": result.steps,
        **result.best_metrics,
        "unigram_entropy": entropy,
        "unigram_entropy_passed_at_step": None if entropy is None else _stays_below(result.curve, entropy),
        "num_parameters": sum(parameter.numel() for parameter in task.model.parameters()),
        "num_encoder_parameters": sum(parameter.numel() for parameter in task.model.encoder.parameters()),
        "real_token_share": task.real_token_share(),
        "real_tokens_per_second": task.speed.tokens_per_second,
        "model_flop_utilisation": task.speed.utilisation,
    }
    if hasattr(task.model, "predict_masked"):
        metrics |= predict_hidden_tokens(
            task.model,
            tokenizer,
            tokens.split("val"),
            max_length=objective.max_length,
            max_rows=validation_rows,
            batch_size=training.batch_size,
        )
    compared = {} if entropy is None else {"unigram_entropy": entropy}
    curves = [{**row, **compared} for row in result.history]
    trained = PretrainedBert.of(task.model, tokenizer, {**made_by, "metrics": metrics})
    return PretrainingResult(trained, curves, metrics)


class _Passes:
    """The batches of one pass after another over a split, numbered through all of them.

    The rows left over at the end of a pass, fewer than a batch, are dropped.
    """

    def __init__(
        self,
        objective: PretrainingObjective,
        split: TokenSplit,
        batch_size: int,
        seed: int,
        first_pass: int = 0,
    ) -> None:
        self.objective = objective
        self.split = split
        self.batch_size = batch_size
        self.seed = seed
        self.first_pass = first_pass
        self._num_batches: dict[int, int] = {}
        self._latest: tuple[int, RowPlan] | None = None

    def batches_from(self, first: int, splits: int) -> Iterator[PretrainingBatch]:
        """From batch `first` on without end, each in `splits` parts of as many rows."""
        for pass_index in itertools.count(self.first_pass):
            # Planning takes a while, so a pass that lies behind is not planned again to be counted.
            num_batches = self._num_batches.get(pass_index)
            if num_batches is None or first < num_batches:
                plan = self.plan(pass_index)
                num_batches = self._num_batches[pass_index]
            for number in range(first, num_batches):
                start = number * self.batch_size
                for rows in np.array_split(np.arange(start, start + self.batch_size), splits):
                    if len(rows):
                        yield plan.batch(rows)
            first = max(0, first - num_batches)

    def plan(self, pass_index: int) -> RowPlan:
        """The rows of a pass; raises ProlepsisError if they are fewer than a batch."""
        if self._latest is not None and self._latest[0] == pass_index:
            return self._latest[1]
        plan = self.objective.plan(self.split, self.seed, pass_index)
        if len(plan) < self.batch_size:
            raise ProlepsisError(
                f"The training split fills {len(plan)} rows of {self.objective.max_length} tokens, "
                f"fewer than a batch of {self.batch_size}.",
                where=f"split {self.split.name!r} of the token shards",
                remedy="Give it more text, or make training.batch_size smaller.",
            )
        self._latest = pass_index, plan
        self._num_batches[pass_index] = len(plan) // self.batch_size
        return plan


@dataclass(frozen=True)
class StepPart:
    """What goes through the model at once, a part of the batch of an optimizer step.

    Attributes:
        num_targets: over how many items each loss is taken: an equal share of those of the whole step, so
            that the mean over the parts is the mean over the step, however its items are spread over them.
    """

    batch: PretrainingBatch
    num_targets: dict[str, float]


class PretrainingTask:
    """What the training loop needs: batches from an endless sequence of passes over the corpus, and a loss.

    An epoch may be any number of steps: a pass goes on from one to the next.
    """

    def __init__(
        self,
        objective: PretrainingObjective,
        model: Any,
        tokens: TokenShards,
        training: TrainingConfig,
        *,
        steps_per_epoch: int | None,
        validation_rows: int,
        length_warmup: LengthWarmup | None = None,
        entropy: float | None = None,
    ) -> None:
        """`entropy` is what token frequencies alone would give, if the objective compares with that."""
        self.model = model
        self._objective = objective
        self._training = training
        train, validation = tokens.split("train"), tokens.split("val")
        self._passes = _Passes(objective, train, training.batch_size, training.seed)
        self._first_plan = self._passes.plan(0)
        batches_in_a_pass = len(self._first_plan) // training.batch_size
        self._steps = steps_per_epoch or batches_in_a_pass // training.accumulation_steps
        self._phases: Sequence[tuple[int, _Passes]] = [(0, self._passes)]
        if length_warmup is not None:
            self._phases = self._with_warmup(length_warmup)
        self._validation_objective = objective.for_validation()
        self._validation = self._validation_objective.plan(validation, _VALIDATION_SEED, 0)
        if not len(self._validation):
            raise ProlepsisError(
                "There is nothing to validate on: the split 'val' has no tokens.",
                where=f"split {validation.name!r} of the token shards",
                remedy="Give the corpus more documents, or a larger share of them to validation.",
            )
        self._validation_rows = np.arange(min(validation_rows, len(self._validation)))
        self.speed = Speed(training)
        self._probation = _Probation(round(_PROBATION * training.epochs * self._steps), entropy)

    def steps_per_epoch(self) -> int:
        return self._steps

    def batches(self, epoch: int, first_step: int, splits: int = 1) -> Iterator[StepPart]:
        self.speed.start()
        step = epoch * self._steps + first_step
        self._probation.continue_from(step, self._training, splits)
        steps = self._steps_between(step, (epoch + 1) * self._steps, splits)
        return itertools.chain.from_iterable(made_ahead(steps, "batches"))

    def loss(self, part: StepPart, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
        batch = part.batch.to(device)
        length = batch.token_ids.shape[1]
        if not self.speed.knows(length):
            self.speed.learn(length, self.work_per_token(length, device), device)
        self.speed.count(part.batch.num_real_tokens, length)
        measures = self._objective.measure(self.model, batch).over(part.num_targets)
        named = {**measures.losses, **measures.others}
        means = {name: measure.mean for name, measure in named.items()}
        self._probation.observe(means.get("masked_loss"))
        return measures.loss, means

    def validate(self, device: torch.device) -> dict[str, float]:
        """Means over the validation rows' hidden tokens or examples; `validation_loss` sums the losses."""
        self.speed.stop()
        totals: dict[str, float] = {}
        counts: dict[str, float] = {}
        losses: set[str] = set()
        for start in range(0, len(self._validation_rows), self._training.batch_size):
            rows = self._validation_rows[start : start + self._training.batch_size]
            batch = self._validation.batch(rows).to(device)
            measures = self._validation_objective.measure(self.model, batch)
            losses |= measures.losses.keys()
            for name, measure in {**measures.losses, **measures.others}.items():
                totals[name] = totals.get(name, 0.0) + float(measure.total)
                counts[name] = counts.get(name, 0) + measure.count
        means = {name: totals[name] / max(1, counts[name]) for name in totals}
        _logger.info("Validation: %s", ", ".join(f"{name} {value:.3f}" for name, value in means.items()))
        return {
            "validation_loss": math.fsum(means[name] for name in sorted(losses)),
            **{f"validation_{name}": value for name, value in means.items()},
        }

    def compile(self) -> None:
        """Compiles what sees whole rows, which have one shape; heads see as many tokens as are hidden."""
        for module in self.model.children():
            if isinstance(module, BertEncoder | Decoder):
                module.compile(dynamic=False)

    def work_per_token(self, length: int, device: torch.device) -> float:
        """Floating-point operations of training on a token that is not padding, in rows of this length.

        Those of the products, forward and backward; counted on the first rows of a pass.
        """
        passes = next(part for _, part in self._phases if part.objective.max_length == length)
        plan = passes.plan(passes.first_pass)
        batch: Any = plan.batch(np.arange(min(_ROWS_TO_COUNT, len(plan)))).to(device)
        return self.work(batch, device) / max(1, int(batch.num_real_tokens))

    def work(self, batch: Any, device: torch.device) -> float:
        """Floating-point operations of a training step on a batch: the products, forward and backward.

        Attention counts as between all tokens of a row, also where FlexAttention skips other examples.
        """
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.no_grad(), without_flex_attention():
            forward = count_products(lambda: self._objective.measure(self.model, batch))
        return _PRODUCTS_PER_FORWARD_PRODUCT * forward

    def real_token_share(self) -> float:
        """How much of the rows is not padding."""
        return self._first_plan.num_real_tokens / (len(self._first_plan) * self._objective.max_length)

    def _with_warmup(self, warmup: LengthWarmup) -> list[tuple[int, _Passes]]:
        longest = self._objective.max_length
        if warmup.max_length >= longest:
            raise ProlepsisError(
                f"A length warm-up with rows of {warmup.max_length} tokens does not begin with shorter rows "
                f"than the objective's, {longest}.",
                where="length_warmup.max_length",
                remedy="Make it smaller, or leave the warm-up out.",
            )
        if warmup.batch_size is not None and warmup.batch_size % self._training.batch_size:
            raise ProlepsisError(
                f"The {warmup.batch_size} rows of a batch in the length warm-up are no multiple of the "
                f"{self._training.batch_size} of a batch behind it.",
                where="length_warmup.batch_size",
                remedy="Make it one, so that both can be cut into the same number of pieces, or null.",
            )
        whole = self._passes
        short = _Passes(
            self._objective.shortened(warmup.max_length),
            whole.split,
            warmup.batch_size or whole.batch_size * (longest // warmup.max_length),
            whole.seed,
        )
        later = _Passes(whole.objective, whole.split, whole.batch_size, whole.seed, _FIRST_LATER_PASS)
        return [(0, short), (round(warmup.share * self._training.epochs * self._steps), later)]

    def _steps_between(self, first: int, last: int, splits: int) -> Iterator[list[StepPart]]:
        """The parts of each optimizer step from `first` up to `last`, counted through the whole run."""
        before = self._training.micro_batches_before
        ends = [start for start, _ in self._phases[1:]] + [last]
        for (start, passes), end in zip(self._phases, ends, strict=True):
            begin, stop = max(first, start), min(last, end)
            if begin < stop:
                batches = passes.batches_from(before(begin) - before(start), splits)
                for step in range(begin, stop):
                    count = self._training.micro_batches(step) * splits
                    yield self._parts(list(itertools.islice(batches, count)))

    def _parts(self, batches: Sequence[PretrainingBatch]) -> list[StepPart]:
        """The batches of one optimizer step, with the items that their losses are taken over."""
        totals: Counter[str] = Counter()
        for batch in batches:
            totals.update(self._objective.num_targets(batch))
        shares = {name: total / len(batches) for name, total in totals.items()}
        return [StepPart(batch, shares) for batch in batches]


class Speed:
    """How fast training goes in this process, validation aside."""

    def __init__(self, training: TrainingConfig) -> None:
        self._training = training
        self._tokens = 0
        self._seconds = 0.0
        self._last_time = 0.0
        self._work = 0.0
        self._work_per_token: dict[int, float] = {}
        self._peak = math.inf

    def start(self) -> None:
        self._last_time = time.perf_counter()

    def stop(self) -> None:
        now = time.perf_counter()
        self._seconds += now - self._last_time
        self._last_time = now

    def count(self, num_tokens: int, length: int) -> None:
        """Adds tokens that training is about to see, and the time since the last were added."""
        self.stop()
        self._tokens += num_tokens
        self._work += num_tokens * self._work_per_token[length]

    def knows(self, length: int) -> bool:
        """Whether it was told what a token in rows of this length takes."""
        return length in self._work_per_token

    def learn(self, length: int, work_per_token: float, device: torch.device) -> None:
        """What a token in rows of this length takes; the time that finding it out took does not count."""
        self._work_per_token[length] = work_per_token
        self._peak = peak_rate(device, resolve_precision(self._training.precision, device))
        self._last_time = time.perf_counter()

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens that are not padding, over the time that went into training on them; None without any."""
        return self._tokens / self._seconds if self._seconds else None

    @property
    def utilisation(self) -> float | None:
        """The model's own products per second, as a share of what the device can do ("MFU")."""
        return self._work / self._seconds / self._peak if self._seconds else None

    def note(self) -> str:
        return f"{self.tokens_per_second or 0:,.0f} tokens/s, MFU {self.utilisation or 0:.0%}"


class _Probation:
    """Says so if a run still predicts no better than token frequencies after a tenth of its steps."""

    def __init__(self, steps: int, entropy: float | None) -> None:
        self._steps = steps
        self._entropy = math.inf if entropy is None else entropy
        self._batches_left = 0
        self._recent: Tensor | None = None

    def continue_from(self, step: int, training: TrainingConfig, splits: int) -> None:
        before = training.micro_batches_before
        self._batches_left = max(0, before(self._steps) - before(step)) * splits

    def observe(self, masked_loss: Tensor | None) -> None:
        if not self._batches_left or masked_loss is None:
            return
        loss = masked_loss.detach()
        # Read only once, at the end: each reading waits for the device.
        self._recent = loss if self._recent is None else torch.lerp(self._recent, loss, 0.1)
        self._batches_left -= 1
        if not self._batches_left and float(self._recent) > self._entropy:
            _logger.warning(
                "After %d steps, a tenth of the run, the loss on hidden tokens is %.3f, above the %.3f that "
                "token frequencies alone give: nothing has been learnt from context yet. Try a lower "
                "learning rate, a longer warm-up, or output_bias: token_frequencies.",
                self._steps,
                float(self._recent),
                self._entropy,
            )


def _stays_below(curve: Sequence[dict[str, float]], entropy: float) -> float | None:
    """The step of the training curve from which on the loss on hidden tokens is below the entropy.

    The loss as a mean of five rows, since single ones jump.
    """
    losses = [row.get("masked_loss", math.inf) for row in curve]
    passed = None
    for number, row in enumerate(curve):
        if math.fsum(losses[max(0, number - 4) : number + 1]) / min(5, number + 1) >= entropy:
            passed = None
        elif passed is None:
            passed = row["step"]
    return passed


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
