"""Momentum contrast: what `prolepsis.training.loop` needs to know, and the backbone that comes out."""

import logging
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from prolepsis.errors import ProlepsisError
from prolepsis.files import fingerprint
from prolepsis.training.config import TrainingConfig
from prolepsis.training.device import resolve_device, seed_everything
from prolepsis.training.loop import FitResult, fit
from prolepsis.training.saved_model import SavedModel
from prolepsis.video.frame_images import FrameImages
from prolepsis.video.moco.backbones import build_backbone, save_backbone
from prolepsis.video.moco.config import MocoConfig
from prolepsis.video.moco.model import ContrastEncoder, MomentumContrast
from prolepsis.video.moco.pairs import FramePairs, PairBatch, training_batches, validation_batches

_QUERIES_AT_ONCE = 256
_logger = logging.getLogger(__name__)


class ContrastTask:
    """Learns to tell the frames of train from the queue, and is validated on those of val by each other."""

    def __init__(
        self,
        model: MomentumContrast,
        train: FramePairs,
        validation: FramePairs,
        training: TrainingConfig,
        num_workers: int,
    ) -> None:
        self.model: nn.Module = model
        self._contrast = model
        self._train = train
        self._validation = validation
        self._training = training
        self._num_workers = num_workers
        self._pin_memory = resolve_device(training.device).type == "cuda"

    def steps_per_epoch(self) -> int:
        return len(self._train) // self._training.batch_size

    def batches(self, epoch: int, first_step: int, splits: int = 1) -> Iterator[PairBatch]:
        if splits > 1:
            raise ProlepsisError(
                f"A batch of {self._training.batch_size} frames does not fit into memory, and momentum "
                "contrast learns otherwise from smaller ones: batch norm and the queue see whole batches.",
                where="moco_pretraining.training.batch_size",
                remedy="make it smaller, or image_size",
            )
        return training_batches(
            self._train,
            epoch,
            first_step,
            batch_size=self._training.batch_size,
            seed=self._training.seed,
            num_workers=self._num_workers,
            pin_memory=self._pin_memory,
        )

    def compile(self) -> None:
        self._contrast.compile_encoders()

    def loss(self, batch: PairBatch, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
        batch = batch.to(device)
        logits: Tensor = self._contrast(batch.queries, batch.keys, batch.order)
        own = torch.zeros(len(logits), dtype=torch.int64, device=device)
        accuracy = (logits.detach().argmax(dim=1) == own).float().mean()
        return nn.functional.cross_entropy(logits, own), {"accuracy": accuracy}

    def validate(self, device: torch.device) -> dict[str, float]:
        """The loss, and the share of queries whose own key is the nearest, among the keys of all val.

        Not among the queue's: those are of earlier encoders, and the faster the encoder moves, whichever way,
        the easier a key of today is told from them. Such a loss was lowest where all frames looked the same.
        """
        encoded = [
            self._contrast.encode(batch.queries, batch.keys) for batch in self._validation_batches(device)
        ]
        queries, keys = (torch.cat(parts).float() for parts in zip(*encoded, strict=True))
        loss = correct = 0.0
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            block = queries[start : start + _QUERIES_AT_ONCE]
            own = torch.arange(start, start + len(block), device=device)
            with torch.autocast(device.type, enabled=False):
                logits = block @ keys.T / self._contrast.temperature
            loss += nn.functional.cross_entropy(logits, own, reduction="sum").item()
            correct += (logits.argmax(dim=1) == own).sum().item()
        return {"validation_loss": loss / len(queries), "validation_accuracy": correct / len(queries)}

    def _validation_batches(self, device: torch.device) -> Iterator[PairBatch]:
        for batch in validation_batches(
            self._validation,
            batch_size=self._training.batch_size,
            num_workers=self._num_workers,
            pin_memory=self._pin_memory,
        ):
            yield batch.to(device)


def pretrain(
    images: FrameImages, config: MocoConfig, training: TrainingConfig, *, num_workers: int
) -> tuple[SavedModel, FitResult]:
    """Trains a backbone on the frames of the split train; the epoch kept is that with the lowest loss on val.

    Raises:
        ProlepsisError: a split has too few frames, or the queue cannot be filled.
    """
    train, validation = (_pairs(images, split, config, training.seed) for split in ("train", "val"))
    _check_sizes(train, validation, config, training)
    seed_everything(training.seed)
    backbone, width = build_backbone(config.backbone, config.image_size, training.seed)
    model = MomentumContrast(
        ContrastEncoder(backbone, width, config.dimension),
        dimension=config.dimension,
        image_size=config.image_size,
        queue_size=config.queue_size,
        momentum=config.momentum,
        temperature=config.temperature,
        batch_norm_splits=config.batch_norm_splits,
    )
    result = fit(
        ContrastTask(model, train, validation, training, num_workers),
        training,
        fingerprint=fingerprint({"frames": images.hash, "model": config.model_dump(mode="json")}),
        description=f"Momentum contrast of {config.backbone}",
    )
    saved = save_backbone(
        backbone,
        name=config.backbone,
        image_size=config.image_size,
        frame_size=images.size,
        seed=training.seed,
        config=config.model_dump(mode="json"),
        frames=images.hash,
        best_epoch=result.best_epoch,
        validation=result.best_metrics,
    )
    return saved, result


def _pairs(images: FrameImages, split: str, config: MocoConfig, seed: int) -> FramePairs:
    return FramePairs(
        images,
        split,
        size=config.image_size,
        augmentation=config.augmentation,
        positive_seconds=config.positive_seconds,
        seed=seed,
    )


def _check_sizes(
    train: FramePairs, validation: FramePairs, config: MocoConfig, training: TrainingConfig
) -> None:
    batch = training.batch_size
    if len(train) < batch:
        raise ProlepsisError(
            f"The split 'train' has {len(train)} frames, fewer than a batch of {batch}.",
            where="frame_images",
            remedy="add videos, or make moco_pretraining.training.batch_size smaller",
        )
    if len(validation) == 0:
        raise ProlepsisError(
            "The split 'val' has no frame, so no epoch can be chosen.",
            where="frame_images",
            remedy="put videos into that split, or let a share of them be drawn for it",
        )
    keys = training.epochs * (len(train) // batch) * batch
    if config.queue_size > keys:
        raise ProlepsisError(
            f"The queue of {config.queue_size} keys would never be full: the training makes {keys}.",
            where="moco_pretraining.model.queue_size",
            remedy="make the queue smaller, or train for more epochs",
        )
    if config.queue_size > len(train):
        _logger.warning(
            "The queue holds %d keys, more than the %d frames there are to train on: among the negatives are "
            "older keys of the query's own frame. The paper's queue is a twentieth of its images.",
            config.queue_size,
            len(train),
        )
