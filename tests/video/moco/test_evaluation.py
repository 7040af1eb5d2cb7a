"""Probes of frozen features."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prolepsis.action.evaluation.frames import evaluate_frames
from prolepsis.video.encoders.base import ImageEncoder
from prolepsis.video.moco.evaluation import LabelledFrames, encode_frames, knn_scores, linear_probe


def split(count: int, seed: int, noise: float = 0.5) -> LabelledFrames:
    """Three classes, of which each frame has any; a direction of the features for each, and others."""
    random = np.random.default_rng(seed)
    labels = random.random((count, 3)) < 0.3
    directions = np.random.default_rng(0).normal(size=(3, 8))
    features = labels @ directions + noise * random.normal(size=(count, 8))
    return LabelledFrames(features.astype(np.float32), labels)


def mean_average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    return evaluate_frames(labels, scores).mean_average_precision


def test_neighbours_weigh_as_the_paper_says() -> None:
    train, queries = split(40, 1), split(9, 2).features
    scores = knn_scores(train, queries, neighbours=5, temperature=0.07)
    for query, row in zip(queries, scores, strict=True):
        norms = np.linalg.norm(train.features, axis=1) * np.linalg.norm(query)
        similarity = train.features @ query / norms
        nearest = np.argsort(-similarity)[:5]
        weights = np.exp(similarity[nearest] / 0.07)
        expected = (weights[:, None] * train.labels[nearest]).sum(axis=0) / weights.sum()
        assert row == pytest.approx(expected, rel=1e-4)


def test_more_neighbours_than_frames_are_all_frames() -> None:
    train, queries = split(12, 1), split(4, 2).features
    scores = [knn_scores(train, queries, neighbours=k, temperature=1.0) for k in (12, 200)]
    assert np.array_equal(*scores)


def test_many_queries_go_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    train, queries = split(12, 1), split(50, 2).features
    whole = knn_scores(train, queries, neighbours=3, temperature=0.07)
    monkeypatch.setattr("prolepsis.video.moco.evaluation._MOST_SIMILARITIES", 30)
    assert knn_scores(train, queries, neighbours=3, temperature=0.07) == pytest.approx(whole, rel=1e-5)


def test_both_probes_find_what_is_linear_in_the_features() -> None:
    splits = {"train": split(400, 1), "val": split(200, 2), "test": split(200, 3)}
    probe = linear_probe(splits, (0.01, 1.0), (1, 2), mean_average_precision)
    nearest = knn_scores(splits["train"], splits["test"].features, neighbours=20, temperature=0.07)
    for scores in (probe.scores["test"], nearest):
        assert mean_average_precision(splits["test"].labels, scores) > 0.85
    assert probe.scores.keys() == {"val", "test"}
    assert not probe.scores["test"][:, 0].any()


def test_the_penalty_is_chosen_on_val_whatever_test_is() -> None:
    splits = {"train": split(60, 1, 3.0), "val": split(300, 2, 3.0), "test": split(300, 3, 3.0)}
    penalties = (1e-4, 1e-2, 1.0, 100.0)
    chosen = linear_probe(splits, penalties, (1, 2), mean_average_precision)
    alone = {
        one: mean_average_precision(
            splits["val"].labels,
            linear_probe(splits, (one,), (1, 2), mean_average_precision).scores["val"],
        )
        for one in penalties
    }
    assert chosen.inverse_penalty == max(alone, key=lambda one: alone[one])
    test = splits["test"]
    other = splits | {"test": LabelledFrames(test.features, ~test.labels)}
    assert linear_probe(other, penalties, (1, 2), mean_average_precision).inverse_penalty == (
        chosen.inverse_penalty
    )


def test_neither_a_class_without_examples_nor_a_constant_feature_stops_the_probe() -> None:
    train, val = split(80, 1), split(40, 2)
    train.labels[:, 2] = False
    train.features[:, 0] = val.features[:, 0] = 3.0
    probe = linear_probe({"train": train, "val": val}, (1.0,), (1, 2), mean_average_precision)
    assert not probe.scores["val"][:, 2].any()
    assert np.isfinite(probe.scores["val"]).all()


def test_frames_are_encoded_in_their_order_however_many_at_once(make_images) -> None:
    class MeanColour(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.mean(dim=(2, 3))

    images = make_images({"a": ("train", 5), "b": ("val", 3)})
    encoder = ImageEncoder(
        MeanColour(), dimension=3, input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3, weights_sha256=""
    )
    for batch_size in (1, 2, 64):
        features = encode_frames(
            encoder, images, batch_size=batch_size, device=torch.device("cpu"), precision=torch.float32
        )
        assert list(features) == ["a", "b"]
        for video, frames in images.items():
            assert features[video] == pytest.approx(frames.mean(axis=(1, 2)) / 255, rel=1e-4)
