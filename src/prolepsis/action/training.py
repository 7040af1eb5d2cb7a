"""Training a detector: what `prolepsis.training.loop` needs to know, and the model that comes out."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor, nn

from prolepsis import plugins
from prolepsis.action.augmentation import AugmentationConfig
from prolepsis.action.detectors.base import Detector, WindowBatch
from prolepsis.action.evaluation.frames import BACKGROUND
from prolepsis.action.evaluation.videos import (
    ScoredVideo,
    evaluate_anticipation,
    evaluate_detection,
    mean_ahead,
)
from prolepsis.action.sampling import SamplingConfig
from prolepsis.action.scoring import score_videos
from prolepsis.action.standardisation import FeatureMoments, StandardisedDetector, feature_moments
from prolepsis.action.windows import LabelledVideo, WindowSampler
from prolepsis.errors import ProlepsisError
from prolepsis.files import fingerprint
from prolepsis.training.ahead import made_ahead
from prolepsis.training.config import TrainingConfig
from prolepsis.training.device import resolve_precision, seed_everything
from prolepsis.training.loop import FitResult, fit
from prolepsis.training.saved_model import SavedModel

DETECTORS = "prolepsis.action_detectors"
NO_AUGMENTATION = AugmentationConfig()


@dataclass(frozen=True)
class DetectorSpecification:
    """A detector plugin by name, its configuration, and how its features and windows are prepared."""

    plugin: str
    config: BaseModel
    sampling: SamplingConfig
    standardise: bool
    augmentation: AugmentationConfig = NO_AUGMENTATION


class DetectionTask:
    """Learns from windows of the training videos; validates by per-frame mAP on whole validation videos."""

    def __init__(
        self,
        detector: Detector,
        train: Sequence[LabelledVideo],
        validation: Sequence[LabelledVideo],
        *,
        sampling: SamplingConfig,
        training: TrainingConfig,
        augmentation: AugmentationConfig = NO_AUGMENTATION,
        moments: FeatureMoments | None = None,
    ) -> None:
        """`augmentation` is in units of `moments`, without which features stay as they are."""
        self.model: nn.Module = detector
        self._detector = detector
        self._loss = detector.loss
        self._validation = validation
        self._training = training
        self._augmentation = augmentation
        self._moments = moments
        self._sampler = WindowSampler(
            train,
            sampling,
            context=detector.context,
            horizon=detector.horizon,
            seed=training.seed,
        )

    def steps_per_epoch(self) -> int:
        per_step = self._training.batch_size * self._training.accumulation_steps
        return -(-self._sampler.most_windows() // per_step)

    def batches(self, epoch: int, first_step: int, splits: int = 1) -> Iterator[WindowBatch]:
        """Every window once, except in a warm-up of the batch: its smaller steps leave some of them out."""
        steps = self.steps_per_epoch()
        start, first, end = (
            self._training.micro_batches_before(epoch * steps + step) for step in (0, first_step, steps)
        )
        dealt = self._sampler.batches(epoch, steps * self._training.accumulation_steps, first - start)
        for batch in made_ahead(itertools.islice(dealt, end - first), "windows"):
            yield from _pieces(batch, splits)

    def compile(self) -> None:
        # The loss as a whole, since not every detector's goes through `forward`. Windows differ in length.
        self._loss = torch.compile(self._detector.loss, dynamic=True)

    def loss(self, batch: WindowBatch, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
        batch = batch.to(device)
        if self._moments is not None:
            batch = augmented(batch, self._augmentation, self._moments)
        return self._loss(batch)

    def validate(self, device: torch.device) -> dict[str, float]:
        precision = resolve_precision(self._training.precision, device)
        features = {video.name: video.features for video in self._validation}
        truth = {video.name: video for video in self._validation}
        scored = [
            ScoredVideo(truth[one.video].labels > 0, truth[one.video].ignore, one.scores, one.anticipation)
            for one in score_videos(self._detector, features, features, device, precision)
        ]
        metrics = {"mean_average_precision": evaluate_detection(scored).mean_average_precision}
        ahead = mean_ahead(result.evaluation for result in evaluate_anticipation(scored))
        if ahead is not None:
            metrics["anticipation_mean_average_precision"] = ahead
        return metrics


def train_detector(
    specification: DetectorSpecification,
    train: Sequence[LabelledVideo],
    validation: Sequence[LabelledVideo],
    class_names: Sequence[str],
    training: TrainingConfig,
) -> tuple[SavedModel, FitResult]:
    """Trains a detector on `train`; the epoch kept is the one that `validation` likes best.

    Raises:
        ProlepsisError: a split is empty, or none of its frames shows an action.
    """
    _require_actions("train", train)
    _require_actions("val", validation)
    moments = feature_moments(video.features for video in train)
    seed_everything(training.seed)
    detector = build_detector(
        specification.plugin,
        specification.config,
        input_size=train[0].features.shape[1],
        num_classes=len(class_names),
        moments=moments if specification.standardise else None,
    )
    task = DetectionTask(
        detector,
        train,
        validation,
        sampling=specification.sampling,
        training=training,
        augmentation=specification.augmentation,
        moments=moments,
    )
    result = fit(
        task,
        training,
        fingerprint=_fingerprint(specification, train, validation, moments),
        description=f"Training {specification.plugin}",
    )
    metadata = {
        "plugin": specification.plugin,
        "config": specification.config.model_dump(mode="json"),
        "input_size": detector.input_size,
        "num_classes": detector.num_classes,
        "num_parameters": sum(parameter.numel() for parameter in detector.parameters()),
        "class_names": list(class_names),
        "standardised": specification.standardise,
        "best_epoch": result.best_epoch,
        "validation": result.best_metrics,
    }
    return SavedModel(dict(detector.state_dict()), metadata), result


def load_detector(saved: SavedModel) -> Detector:
    """The detector that `train_detector` saved, in evaluation mode, its standardisation included.

    Raises:
        ProlepsisError: the plugin is not installed, or its configuration or weights do not fit it.
    """
    metadata = saved.metadata
    config = plugins.configure(DETECTORS, metadata["plugin"], metadata["config"])
    moments = None
    if metadata["standardised"]:
        moments = FeatureMoments(saved.state["mean"], saved.state["deviation"])
    detector = build_detector(
        metadata["plugin"],
        config,
        input_size=metadata["input_size"],
        num_classes=metadata["num_classes"],
        moments=moments,
    )
    try:
        detector.load_state_dict(saved.state)
    except RuntimeError as error:
        raise ProlepsisError(
            f"The saved weights do not fit the detector {metadata['plugin']!r}: {error}",
            remedy="train it again with the version of the plugin that is installed",
        ) from error
    return detector.eval()


def build_detector(
    plugin: str, config: Any, *, input_size: int, num_classes: int, moments: FeatureMoments | None
) -> Detector:
    """A new detector by its plugin's name; with `moments`, behind the standardisation of its features."""
    detector: Detector = plugins.load(DETECTORS, plugin)(
        config, input_size=input_size, num_classes=num_classes
    )
    return detector if moments is None else StandardisedDetector(detector, moments)


def augmented(batch: WindowBatch, augmentation: AugmentationConfig, moments: FeatureMoments) -> WindowBatch:
    """The batch with features changed at random; those of steps that do not exist stay zero."""
    features = batch.features
    windows, _, size = features.shape
    mean, deviation = moments.mean.to(features.device), moments.deviation.to(features.device)
    if augmentation.noise:
        features = features + torch.randn_like(features) * deviation * augmentation.noise
    if augmentation.shift:
        features = features + features.new_empty(windows, 1, size).normal_() * deviation * augmentation.shift
    if augmentation.dropout:
        dropped = features.new_empty(windows, 1, size).uniform_() < augmentation.dropout
        features = torch.where(dropped, mean, features)
    return replace(batch, features=features * batch.mask.unsqueeze(-1))


def _pieces(batch: WindowBatch, count: int) -> Iterator[WindowBatch]:
    """A batch's windows in `count` batches, none empty: of fewer windows than that, some are seen twice."""
    if count == 1:
        yield batch
        return
    size = len(batch.features)
    for rows in np.array_split(np.resize(np.arange(size), max(size, count)), count):
        chosen = torch.from_numpy(rows)
        yield WindowBatch(*(getattr(batch, field.name)[chosen] for field in fields(batch)))


def _require_actions(split: str, videos: Sequence[LabelledVideo]) -> None:
    if not videos:
        raise ProlepsisError(
            f"There is no video in the split {split!r}.",
            where="frame_labels",
            remedy="put videos into that split, or let a share of them be drawn for it",
        )
    if not any(video.labels[~video.ignore][:, BACKGROUND + 1 :].any() for video in videos):
        raise ProlepsisError(
            f"No frame of the split {split!r} shows an action, so nothing can be learnt or chosen from it.",
            where="frame_labels",
            remedy="check the annotations, or move videos with actions into that split",
        )


def _fingerprint(
    specification: DetectorSpecification,
    train: Sequence[LabelledVideo],
    validation: Sequence[LabelledVideo],
    moments: FeatureMoments,
) -> str:
    """Changes with the detector, the sampling and the data (labels, and the moments of the features)."""
    return fingerprint(
        {
            "plugin": specification.plugin,
            "config": specification.config.model_dump(mode="json"),
            "sampling": specification.sampling.model_dump(mode="json"),
            "standardise": specification.standardise,
            "augmentation": specification.augmentation.model_dump(mode="json"),
            "labels": [
                [video.name, len(video.labels), np.packbits(video.labels).tobytes().hex()]
                for video in (*train, *validation)
            ],
            "ignore": [np.packbits(video.ignore).tobytes().hex() for video in (*train, *validation)],
            "moments": [moments.mean.tolist(), moments.deviation.tolist()],
        }
    )
