"""Fine-tuning: an encoder, a task and the training loop, and the predictions that come of it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from prolepsis.errors import ProlepsisError
from prolepsis.files import fingerprint
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.model import BertEncoder, initialise
from prolepsis.text.downstream.config import (
    ENCODER,
    SCORED_SPLITS,
    TRAIN,
    VALIDATION,
    FineTuningConfig,
    FineTuningTraining,
    run_training,
)
from prolepsis.text.downstream.evaluation import predictions_table, scores_table
from prolepsis.text.downstream.heads import Head, build_head
from prolepsis.text.downstream.heads.base import require_special_tokens
from prolepsis.text.downstream.metrics import MAIN_METRIC, measure
from prolepsis.text.downstream.model import FineTunedModel, row_outputs
from prolepsis.text.downstream.rows import Batch, BatchSequence, collate
from prolepsis.text.downstream.tasks import DownstreamTask, examples_table
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.training.checkpoint import clear_checkpoints
from prolepsis.training.device import seed_everything
from prolepsis.training.loop import fit


class PretrainedEncoder(Protocol):
    """What is fine-tuned: `prolepsis.text.bert.hugging_face.PretrainedBert` is one."""

    @property
    def encoder(self) -> BertEncoder: ...

    @property
    def tokenizer(self) -> Tokenizer: ...


@dataclass(frozen=True)
class FineTuned:
    """A model with the weights of its best epoch, a row of figures per epoch, and what it says.

    Attributes:
        predictions: by split, for each example, of validation and test.
    """

    model: FineTunedModel
    curves: list[dict[str, float]]
    best_epoch: int
    best_metrics: dict[str, float]
    steps: int
    predictions: dict[str, list[tuple[str, ...]]]


class FineTuningTask:
    """What the training loop needs: batches of rows of like length, a loss, and a validation.

    Batches are numbered through all epochs, so that an epoch may be any number of steps and still every row
    is seen once before any is seen twice.
    """

    def __init__(
        self,
        model: nn.Module,
        head: Head,
        task: DownstreamTask,
        pad_id: int,
        training: FineTuningTraining,
        max_steps: int | None,
    ) -> None:
        self.model = model
        self._head = head
        self._task = task
        self._pad_id = pad_id
        self._training = training
        self._rows = head.rows(task.splits[TRAIN])
        self._validation_rows = head.rows(task.splits[VALIDATION])
        lengths = np.array([len(row) for row in self._rows])
        self._batches = BatchSequence(lengths, training.batch_size, training.seed)
        per_step = training.batch_size * training.accumulation_steps
        self._steps = -(-len(self._rows) // per_step)
        if max_steps is not None:
            self._steps = min(self._steps, max(1, max_steps // training.epochs))

    def steps_per_epoch(self) -> int:
        return self._steps

    def batches(self, epoch: int, first_step: int, splits: int = 1) -> Iterator[Batch]:
        """The batches of each step, each in `splits` parts, one after the other."""
        before = self._training.micro_batches_before
        for step in range(epoch * self._steps + first_step, (epoch + 1) * self._steps):
            batches = [
                [self._rows[row] for row in self._batches[number]]
                for number in range(before(step), before(step + 1))
            ]
            num_targets = max(1, sum(len(row.targets) for rows in batches for row in rows))
            for rows in batches:
                for part in np.array_split(np.arange(len(rows)), splits):
                    of_the_part = [rows[row] for row in part]
                    yield collate(of_the_part, self._pad_id, num_targets / (len(batches) * splits))

    def compile(self) -> None:
        self.model.compile(dynamic=True)

    def loss(self, batch: Batch, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
        on_device = batch.to(device)
        return self._head.loss(self.model(on_device), on_device) / batch.num_targets, {}

    def validate(self, device: torch.device) -> dict[str, float]:
        """The loss, the figures of the task, and as `validation_score` the one that the task goes by."""
        examples = self._task.splits[VALIDATION]
        outputs, loss = row_outputs(
            self.model,
            self._head,
            self._validation_rows,
            self._pad_id,
            self._training.batch_size,
            device,
        )
        said = self._head.decode(self._validation_rows, outputs, examples)
        figures = measure(self._task.kind, [example.labels for example in examples], said)
        return {
            "validation_loss": loss,
            "validation_score": figures[MAIN_METRIC[self._task.kind]],
            **{f"validation_{name}": value for name, value in figures.items()},
        }


def fine_tune(
    pretrained: PretrainedEncoder,
    task: DownstreamTask,
    config: FineTuningConfig,
    training: FineTuningTraining,
    *,
    from_scratch: bool = False,
) -> FineTuned:
    """Fine-tunes a copy of the encoder on the training split; the epoch kept is the best on validation.

    The test split is only predicted, once, at the end. A finished training leaves its last checkpoint:
    `prolepsis.training.checkpoint.clear_checkpoints` removes it when the result is safe.

    Args:
        from_scratch: take the encoder's shape and leave its weights: new ones are drawn.

    Raises:
        ProlepsisError: a row does not fit the encoder's positions, or a pair its token types.
    """
    _require_fit(config, pretrained.encoder.config, task)
    seed_everything(training.seed)
    head = build_head(task.kind, pretrained.tokenizer, config, task.labels)
    module = head.build_model(_copy_of(pretrained.encoder, config, from_scratch=from_scratch))
    pad_id = require_special_tokens(pretrained.tokenizer)[2]
    loop_task = FineTuningTask(module, head, task, pad_id, training, config.max_steps)
    description = f"Fine-tuning on {task.name}" + (" from scratch" if from_scratch else "")
    result = fit(
        loop_task,
        training,
        fingerprint=_fingerprint(pretrained, task, config, from_scratch=from_scratch),
        description=f"{description}, seed {training.seed}",
    )
    metadata = {
        "task": task.name,
        "seed": training.seed,
        "from_scratch": from_scratch,
        "best_epoch": result.best_epoch,
        "steps": result.steps,
        "validation": result.best_metrics,
    }
    model = FineTunedModel(task.kind, task.labels, config, pretrained.tokenizer, module.eval(), metadata)
    predictions = {
        split: model.predict_examples(
            task.splits[split],
            batch_size=training.batch_size,
            device=training.device,
            precision=training.precision,
        )
        for split in SCORED_SPLITS
    }
    return FineTuned(model, result.history, result.best_epoch, result.best_metrics, result.steps, predictions)


def evaluate_encoder(
    pretrained: PretrainedEncoder,
    task: DownstreamTask,
    seeds: Sequence[int],
    training: FineTuningTraining,
    *,
    config: FineTuningConfig | None = None,
    method: str = ENCODER,
    from_scratch: bool = False,
) -> pl.DataFrame:
    """Fine-tunes once for each seed and measures the predictions on validation and test.

    Args:
        training: its seed is replaced by each of `seeds`; its checkpoints go when the training is over.
        config: `max_steps` limits the optimizer steps.
        method: the name under which the scores are listed.

    Returns:
        A row per seed, split and metric: `task`, `method`, `seed`, `split`, `metric`, `value`.
    """
    tables = []
    for seed in seeds:
        seeded = run_training(training, task.name, method, seed)
        tuned = fine_tune(pretrained, task, config or FineTuningConfig(), seeded, from_scratch=from_scratch)
        clear_checkpoints(seeded.checkpoint_directory)
        tables.append(predictions_table(task.name, method, seed, tuned.predictions))
    return scores_table(examples_table([task]), pl.concat(tables))


def _copy_of(encoder: BertEncoder, config: FineTuningConfig, *, from_scratch: bool) -> BertEncoder:
    shape: BertConfig = encoder.config
    if config.encoder_dropout is not None:
        dropout = config.encoder_dropout
        changes = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
        shape = shape.model_copy(update=changes)
    copy = BertEncoder(shape)
    if from_scratch:
        initialise(copy, shape.initializer_range)
    else:
        copy.load_state_dict(encoder.state_dict())
    return copy


def _require_fit(config: FineTuningConfig, encoder: BertConfig, task: DownstreamTask) -> None:
    learned = encoder.position_embedding_type == "absolute"
    if learned and config.max_length > encoder.max_position_embeddings:
        raise ProlepsisError(
            f"Rows of {config.max_length} tokens do not fit the encoder's {encoder.max_position_embeddings} "
            "positions.",
            where=f"downstream.tasks.{task.name}",
            remedy=f"set max_length to {encoder.max_position_embeddings} or less",
        )
    if task.kind in ("sequence_pair_classification", "question_answering") and encoder.type_vocab_size < 2:
        raise ProlepsisError(
            "Pairs need an encoder that tells their two texts apart; it has one token type.",
            where=f"downstream.tasks.{task.name}",
            remedy="pretrain with model.type_vocab_size 2",
        )


def _fingerprint(
    pretrained: PretrainedEncoder, task: DownstreamTask, config: FineTuningConfig, *, from_scratch: bool
) -> str:
    """Changes with the encoder, the tokenizer, the examples and how they become rows."""
    examples = hashlib.sha256()
    for split, members in task.splits.items():
        for example in members:
            examples.update(repr((split, example)).encode())
    return fingerprint(
        {
            "encoder": pretrained.encoder.config.model_dump(mode="json"),
            "weights": None if from_scratch else _weights_digest(pretrained.encoder.state_dict()),
            "tokenizer": pretrained.tokenizer.hash,
            "kind": task.kind,
            "labels": list(task.labels),
            "examples": examples.hexdigest(),
            "config": config.model_dump(mode="json"),
        }
    )


def _weights_digest(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
