import numpy as np
import polars as pl
import pytest

from prolepsis.action.scoring import VideoScores
from prolepsis.action.tables import SCORES_SCHEMA, check_rate, labelled_videos, score_frames, scored_videos
from prolepsis.errors import ProlepsisError


def frame_labels(lengths: dict[str, int], split: str = "val") -> pl.DataFrame:
    frames = []
    for seed, (video, length) in enumerate(lengths.items()):
        classes = np.random.default_rng(seed).integers(3, size=length)
        frames.append(
            pl.DataFrame(
                {
                    "video": [video] * length,
                    "split": [split] * length,
                    "step": np.arange(length, dtype=np.int32),
                    "time": (np.arange(length) + 0.5) / 5,
                    "labels": pl.Series(np.eye(3, dtype=np.uint8)[classes]).cast(pl.List(pl.UInt8)),
                    "ignore": np.arange(length) % 4 == 3,
                }
            )
        )
    return pl.concat(frames)


def scores_of(lengths: dict[str, int], ahead: int) -> list[VideoScores]:
    random = np.random.default_rng(0)
    return [
        VideoScores(
            video,
            random.random((length, 3), dtype=np.float32),
            random.random((length, ahead, 3), dtype=np.float32) if ahead else None,
        )
        for video, length in lengths.items()
    ]


def test_labels_meet_features_whatever_the_order_of_the_rows() -> None:
    lengths = {"b": 6, "a": 4}
    labels = frame_labels(lengths)
    features = {video: np.full((length, 2), length, np.float16) for video, length in lengths.items()}
    shuffled = labels.sample(fraction=1.0, shuffle=True, seed=1)
    videos = labelled_videos(pl.concat([shuffled, frame_labels({"c": 3}, "test")]), features, "val")
    assert [one.name for one in videos] == ["a", "b"]
    assert videos[0].features is features["a"]
    expected = labels.filter(pl.col("video") == "b")
    assert videos[1].labels.tolist() == expected["labels"].to_list()
    assert videos[1].ignore.tolist() == expected["ignore"].to_list()


@pytest.mark.parametrize(
    ("features", "what"),
    [({}, "no features"), ({"a": np.zeros((5, 2))}, "4 labelled steps and features of 5")],
)
def test_videos_whose_features_are_missing_or_of_another_length_are_named(
    features: dict[str, np.ndarray], what: str
) -> None:
    with pytest.raises(ProlepsisError, match=what) as caught:
        labelled_videos(frame_labels({"a": 4}), features, "val")
    assert "'a'" in str(caught.value)


def test_a_gap_in_the_steps_is_refused() -> None:
    labels = frame_labels({"a": 4}).filter(pl.col("step") != 2)
    with pytest.raises(ProlepsisError, match="without a gap"):
        labelled_videos(labels, {"a": np.zeros((3, 2))}, "val")


@pytest.mark.parametrize("ahead", [0, 2])
def test_scores_go_to_a_table_and_come_back(ahead: int) -> None:
    lengths = {"a": 4, "b": 7}
    labels, scores = frame_labels(lengths), scores_of(lengths, ahead)
    frames = list(score_frames(reversed(scores), labels))
    assert [dict(frame.schema) for frame in frames] == [SCORES_SCHEMA] * 2
    table = pl.concat(frames)
    assert table["time"].to_list()[-2:] == pytest.approx([0.5, 0.7])
    videos = scored_videos(table.lazy(), labels, "val")
    for one, expected in zip(videos, scores, strict=True):
        np.testing.assert_array_equal(one.scores, expected.scores)
        if ahead:
            np.testing.assert_array_equal(one.anticipation, expected.anticipation)
        else:
            assert one.anticipation is None


def test_scores_of_other_videos_or_steps_than_the_labels_are_refused() -> None:
    table = pl.concat(score_frames(scores_of({"a": 4, "b": 7}, 0), frame_labels({"a": 4, "b": 7}))).lazy()
    with pytest.raises(ProlepsisError, match="not both"):
        scored_videos(table, frame_labels({"a": 4}), "val")
    with pytest.raises(ProlepsisError, match="9 labelled and 7 scored"):
        scored_videos(table, frame_labels({"a": 4, "b": 9}), "val")


def test_features_of_another_rate_than_the_labels_are_refused() -> None:
    labels = frame_labels({"a": 4, "b": 2})
    check_rate(labels, 5.0)
    with pytest.raises(ProlepsisError, match="The features have 4.9 steps a second, the labels 5"):
        check_rate(labels, 4.9)
