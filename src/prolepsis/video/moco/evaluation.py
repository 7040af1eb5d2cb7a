"""What frozen features are worth: nearest neighbours and linear classifiers on the labels of steps.

Both score each class of multi-hot labels on its own. Everything is fitted to the training frames alone, and
what is chosen (the strength of the linear classifiers' penalty) is chosen on the validation frames.
"""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from prolepsis.training.device import autocast
from prolepsis.training.progress import progress, track
from prolepsis.video.encoders.base import FrameEncoder
from prolepsis.video.frame_images import FrameImages

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Measure = Callable[[Bools, Floats], float]
"""From labels `[N, C]` and scores `[N, C]` to how good they are."""

_MOST_SIMILARITIES = 1 << 24
_MOST_ITERATIONS = 1000
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelledFrames:
    """Features `[N, D]` and multi-hot labels `[N, C]` of the frames of a split."""

    features: Floats
    labels: Bools


@dataclass(frozen=True)
class LinearProbe:
    """Scores of each split, and the inverse strength of the penalty that validation liked best."""

    scores: dict[str, Floats]
    inverse_penalty: float


def encode_frames(
    encoder: FrameEncoder,
    images: FrameImages,
    *,
    batch_size: int,
    device: torch.device,
    precision: torch.dtype,
) -> dict[str, Floats]:
    """The features `[T, D]` of every video's frames."""
    encoder = encoder.eval().to(device)
    features = {}
    with progress("Encoding frames", total=len(images.frames), unit="frames") as bar, torch.inference_mode():
        for video, frames in images.items():
            blocks = []
            for start in range(0, len(frames), batch_size):
                block = torch.from_numpy(np.array(frames[start : start + batch_size])).to(device)
                with autocast(device, precision):
                    encoded = encoder(block.unsqueeze(1))
                blocks.append(encoded.float().cpu().numpy())
                bar.advance(len(block))
            features[video] = np.concatenate(blocks)
    return features


def knn_scores(train: LabelledFrames, features: Floats, *, neighbours: int, temperature: float) -> Floats:
    """For each frame and class, the share of its nearest training frames that have the class, by weight.

    The weighted k-nearest-neighbour classifier of Wu et al. 2018 ("Unsupervised Feature Learning via
    Non-Parametric Instance Discrimination"), which DINO took over: a neighbour of cosine similarity s weighs
    exp(s / temperature). Divided by the sum of the weights, it is a score for labels that exclude none.

    Args:
        neighbours: k; all training frames if there are fewer.
    """
    bank = nn.functional.normalize(torch.from_numpy(train.features), dim=1)
    labels = torch.from_numpy(train.labels).float()
    queries = nn.functional.normalize(torch.from_numpy(features), dim=1)
    count = min(neighbours, len(bank))
    scores = []
    for block in torch.split(queries, max(1, _MOST_SIMILARITIES // len(bank))):
        similarity, nearest = (block @ bank.T).topk(count, dim=1)
        weights = torch.softmax(similarity / temperature, dim=1)
        scores.append((weights.unsqueeze(2) * labels[nearest]).sum(dim=1))
    return torch.cat(scores).numpy()


def linear_probe(
    splits: Mapping[str, LabelledFrames],
    inverse_penalties: Sequence[float],
    classes: Sequence[int],
    measure: Measure,
) -> LinearProbe:
    """A logistic regression for each class, on features brought to mean zero and spread one.

    Args:
        splits: `train` to fit, `val` to choose the penalty, and others to score.
        inverse_penalties: scikit-learn's C, to choose from; one for all classes.
        classes: the columns to score; the others have the score zero.
    """
    mean, spread = splits["train"].features.mean(axis=0), splits["train"].features.std(axis=0)
    spread[spread == 0] = 1.0
    standard = {name: (split.features - mean) / spread for name, split in splits.items()}
    scored = [name for name in splits if name != "train"]
    best: LinearProbe | None = None
    best_value = -np.inf
    for inverse_penalty in track(inverse_penalties, "Linear probe", unit="penalties"):
        scores = {name: np.zeros(splits[name].labels.shape, dtype=np.float32) for name in scored}
        for number in classes:
            fitted = _fit_class(standard["train"], splits["train"].labels[:, number], inverse_penalty)
            for name in scored:
                scores[name][:, number] = fitted(standard[name])
        value = measure(splits["val"].labels, scores["val"])
        if best is None or value > best_value:
            best, best_value = LinearProbe(scores, inverse_penalty), value
    if best is None:
        raise ValueError("there is no penalty to choose from")
    return best


def _fit_class(features: Floats, positive: Bools, inverse_penalty: float) -> Callable[[Floats], Floats]:
    """The decision function of one class; constant where training frames have but one side of it."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if positive.all() or not positive.any():
        return lambda others: np.zeros(len(others), dtype=np.float32)
    model = LogisticRegression(C=inverse_penalty, max_iter=_MOST_ITERATIONS)
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(features, positive)
    if raised:
        _logger.warning("A linear classifier did not converge at C = %g.", inverse_penalty)
    return lambda others: model.decision_function(others).astype(np.float32)
