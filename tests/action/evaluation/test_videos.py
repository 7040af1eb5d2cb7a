from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from prolepsis.action.evaluation.frames import evaluate_frames
from prolepsis.action.evaluation.videos import (
    PROTOCOLS,
    Protocol,
    ScoredVideo,
    evaluate_accuracy,
    evaluate_anticipation,
    evaluate_detection,
    evaluate_persistence,
    mean_ahead,
)


def video(seed: int, steps: int, ahead: int = 3, classes: int = 4) -> ScoredVideo:
    random = np.random.default_rng(seed)
    labels = np.eye(classes, dtype=bool)[random.integers(classes, size=steps)]
    return ScoredVideo(
        labels,
        random.random(steps) < 0.2,
        random.random((steps, classes)),
        random.random((steps, ahead, classes)) if ahead else None,
    )


def test_frames_are_pooled_over_videos_without_the_ignored_ones() -> None:
    videos = [video(0, 30), video(1, 17)]
    labels = np.concatenate([one.labels[~one.ignore] for one in videos])
    scores = np.concatenate([one.scores[~one.ignore] for one in videos])
    assert evaluate_detection(videos) == evaluate_frames(labels, scores)
    assert evaluate_accuracy(videos) == pytest.approx((labels.argmax(1) == scores.argmax(1)).mean())


def test_a_protocol_leaves_out_the_first_and_last_steps_of_every_video() -> None:
    videos = [video(0, 30), video(1, 17), video(2, 5)]
    found = evaluate_detection(videos, Protocol(skip_first=4, skip_last=2))
    assert found.num_frames == sum(int((~one.ignore[4 : len(one.ignore) - 2]).sum()) for one in videos)


def test_a_protocol_may_count_one_class_a_step_and_smooth_the_scores() -> None:
    labels = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0], [1, 1, 0]], dtype=bool)
    first = [[0, 1, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0]]
    assert Protocol(one_class=True).true_classes(labels).tolist() == [[bool(x) for x in row] for row in first]
    assert Protocol().true_classes(labels) is labels
    videos = [video(0, 30), video(1, 17)]
    scores = np.concatenate([one.scores[~one.ignore] for one in videos])
    for row in range(1, len(scores)):
        scores[row] = (scores[row - 1] + scores[row]) / 2
    truth = np.concatenate([one.labels[~one.ignore] for one in videos])
    assert evaluate_detection(videos, Protocol(smoothed=True)) == evaluate_frames(truth, scores)


def test_anticipation_is_measured_against_the_label_so_many_steps_later() -> None:
    videos = [video(0, 30), video(1, 17)]
    results = evaluate_anticipation(videos, Protocol(skip_first=2))
    assert [one.step for one in results] == [1, 2, 3]
    for result in results:
        labels, forecasts, present = [], [], []
        for one in videos:
            for step in range(2, len(one.labels) - result.step):
                if not one.ignore[step + result.step]:
                    labels.append(one.labels[step + result.step])
                    forecasts.append(one.anticipation[step, result.step - 1])
                    present.append(one.scores[step])
        assert result.evaluation == evaluate_frames(np.array(labels), np.array(forecasts))
        assert result.persistence == evaluate_frames(np.array(labels), np.array(present))
        without = [replace(one, anticipation=None) for one in videos]
        assert evaluate_persistence(without, result.step, Protocol(skip_first=2)) == result.persistence


def test_the_mean_over_the_steps_ahead_leaves_out_steps_without_a_positive() -> None:
    labels = np.eye(2, dtype=bool)[[0, 1, 0]]
    one = ScoredVideo(labels, np.zeros(3, bool), np.full((3, 2), 0.5), np.full((3, 2, 2), 0.5))
    results = evaluate_anticipation([one])
    assert np.isnan(results[1].evaluation.mean_average_precision)
    assert mean_ahead(one.evaluation for one in results) == 0.5
    assert mean_ahead([results[1].evaluation]) is None


def test_detectors_that_do_not_look_ahead_have_no_anticipation() -> None:
    assert evaluate_anticipation([video(0, 9, ahead=0)]) == []
    assert mean_ahead([]) is None


def test_a_horizon_beyond_a_short_video_is_no_error() -> None:
    results = evaluate_anticipation([video(0, 30), video(3, 2)])
    assert len(results) == 3


def test_mixing_videos_with_and_without_anticipation_is_refused() -> None:
    with pytest.raises(ValueError, match="some do not"):
        evaluate_anticipation([video(0, 9), video(1, 9, ahead=0)])


def test_the_official_protocol_of_oadtr_scores_as_many_frames_as_it_reports(shared_data: Path) -> None:
    every, official, ambiguous = 0, 0, 21
    with np.load(shared_data / "thumos14" / "perframe_labels.npz") as packed:
        for name in packed:
            if name.startswith("test/"):
                labels = np.unpackbits(packed[name], axis=1)[:, :22]
                counted = labels[:, ambiguous] == 0
                every += int(counted.sum())
                official += int((counted & PROTOCOLS["oadtr"].predicting(len(labels))).sum())
    assert (every, official) == (221_588, 206_375)
