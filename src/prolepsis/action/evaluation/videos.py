"""Scored videos: which of their frames count, detection at the current step, anticipation per step ahead.

Which frames count, and how, moves the figures. By default every frame of every video does, except those
marked as ignored (ambiguous). `PROTOCOLS` has what the public evaluations do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from prolepsis.action.evaluation.frames import (
    BACKGROUND,
    Bools,
    Floats,
    FrameEvaluation,
    evaluate_frames,
    frame_accuracy,
)


@dataclass(frozen=True)
class ScoredVideo:
    """A video's truth and a detector's belief.

    Attributes:
        labels: bool `[T, C]`, multi-hot.
        ignore: bool `[T]`.
        scores: `[T, C]`, probabilities.
        anticipation: `[T, F, C]` or None; element f of step k is about step k+1+f.
    """

    labels: Bools
    ignore: Bools
    scores: Floats
    anticipation: Floats | None


@dataclass(frozen=True)
class Protocol:
    """Which predictions of a video are scored, and how.

    Attributes:
        skip_first, skip_last: steps of each video at which no prediction is scored.
        one_class: of a step with several classes only the first one is true.
        smoothed: each score is the mean of itself and the smoothed one before it, in the order of the videos
            and across their borders. It concerns detection, not anticipation.
    """

    skip_first: int = 0
    skip_last: int = 0
    one_class: bool = False
    smoothed: bool = False

    def predicting(self, num_steps: int) -> Bools:
        """Bool `[T]`, the steps at which predictions are scored."""
        steps = np.arange(num_steps)
        return (steps >= self.skip_first) & (steps < num_steps - self.skip_last)

    def true_classes(self, labels: Bools) -> Bools:
        """The classes `[N, C]` that count as true."""
        if not self.one_class:
            return labels
        first = np.zeros_like(labels)
        first[np.arange(len(labels)), labels.argmax(axis=1)] = labels.any(axis=1)
        return first


@dataclass(frozen=True)
class AnticipationResult:
    """How well step k+`step` was foreseen at step k.

    `persistence` is what the same detector's scores of step k would reach as the forecast, unchanged.
    """

    step: int
    evaluation: FrameEvaluation
    persistence: FrameEvaluation


_EVERY_FRAME = Protocol()

PROTOCOLS = {
    "lstr": _EVERY_FRAME,
    "oadtr": Protocol(skip_first=63, skip_last=9, one_class=True),
    "colar": Protocol(skip_first=63, one_class=True),
    "idn": Protocol(skip_first=15, one_class=True),
    "idn_tvseries": Protocol(skip_first=15, one_class=True, smoothed=True),
}
"""What the public evaluations do: `lstr` is also TRN's, TeSTra's, MAT's and MiniROAD's.

OadTR and Colar score windows of 64 features, IDN of 16, so the first steps have no score there. Their labels
have one class a step. IDN's evaluation on TVSeries smooths the scores first.
"""


def evaluate_detection(
    videos: Sequence[ScoredVideo], protocol: Protocol = _EVERY_FRAME, background: int | None = BACKGROUND
) -> FrameEvaluation:
    """Per-frame mAP and mcAP of the scores of all videos pooled."""
    return evaluate_frames(*_pooled(videos, protocol), background)


def evaluate_accuracy(videos: Sequence[ScoredVideo], protocol: Protocol = _EVERY_FRAME) -> float:
    """Frame accuracy of the scores of all videos pooled."""
    return frame_accuracy(*_pooled(videos, protocol))


def evaluate_anticipation(
    videos: Sequence[ScoredVideo], protocol: Protocol = _EVERY_FRAME, background: int | None = BACKGROUND
) -> list[AnticipationResult]:
    """Per-frame mAP for each step ahead; empty where the videos carry no anticipation.

    A prediction counts if the step that it is about lies within the video and is not ignored.
    """
    anticipations = [video.anticipation for video in videos if video.anticipation is not None]
    if len(anticipations) not in (0, len(videos)):
        raise ValueError("some videos carry an anticipation and some do not")
    results = []
    for ahead in range(1, min((one.shape[1] for one in anticipations), default=0) + 1):
        forecasts = [anticipation[:, ahead - 1] for anticipation in anticipations]
        forecast = _evaluate_forecasts(videos, forecasts, ahead, protocol, background)
        persistence = evaluate_persistence(videos, ahead, protocol, background)
        results.append(AnticipationResult(ahead, forecast, persistence))
    return results


def evaluate_persistence(
    videos: Sequence[ScoredVideo],
    ahead: int,
    protocol: Protocol = _EVERY_FRAME,
    background: int | None = BACKGROUND,
) -> FrameEvaluation:
    """Per-frame mAP of the scores of step k taken as the forecast of step k+`ahead`, for any detector."""
    return _evaluate_forecasts(videos, [video.scores for video in videos], ahead, protocol, background)


def mean_ahead(evaluations: Iterable[FrameEvaluation]) -> float | None:
    """The mean over the steps ahead of their mAP; steps at which no class has a positive are left out.

    None where no step is left.
    """
    values = [one.mean_average_precision for one in evaluations if one.classes]
    return float(np.mean(values)) if values else None


def _evaluate_forecasts(
    videos: Sequence[ScoredVideo],
    forecasts: Sequence[Floats],
    ahead: int,
    protocol: Protocol,
    background: int | None,
) -> FrameEvaluation:
    """Row k of a video's forecasts `[T, C]` is about step k+`ahead`."""
    labels, scores = [], []
    for video, forecast in zip(videos, forecasts, strict=True):
        counted = protocol.predicting(len(video.labels))[:-ahead] & ~video.ignore[ahead:]
        labels.append(protocol.true_classes(video.labels[ahead:][counted]))
        scores.append(forecast[:-ahead][counted])
    return evaluate_frames(np.concatenate(labels), np.concatenate(scores), background)


def _pooled(videos: Sequence[ScoredVideo], protocol: Protocol) -> tuple[Bools, Floats]:
    counted = [protocol.predicting(len(video.labels)) & ~video.ignore for video in videos]
    labels = [video.labels[kept] for video, kept in zip(videos, counted, strict=True)]
    scores = [video.scores[kept] for video, kept in zip(videos, counted, strict=True)]
    pooled = np.concatenate(scores)
    return protocol.true_classes(np.concatenate(labels)), _smoothed(pooled) if protocol.smoothed else pooled


def _smoothed(scores: Floats) -> Floats:
    """Each row the mean of itself and the smoothed one before it."""
    smoothed = scores.copy()
    for row in range(1, len(smoothed)):
        smoothed[row] = (smoothed[row - 1] + smoothed[row]) / 2
    return smoothed
