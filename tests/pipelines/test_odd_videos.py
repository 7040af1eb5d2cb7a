"""Folders as people have them, odd files and all, through ingestion and extraction as a user runs them."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

ENCODER = {"feature_extraction": {"encoder": {"plugin": "frame_difference", "config": {"cells": 2}}}}


def write_video(path: Path, seconds: float, options: dict[str, str] | None = None) -> Path:
    """Coloured noise, a new picture in each of 25 frames a second."""
    random = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("mpeg2video" if path.suffix == ".ts" else "mpeg4", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(round(25 * seconds)):
            picture = random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_images(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        path = folder / f"{number:04d}.png"
        with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
            stream = container.add_stream("png", rate=1)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
            picture = np.full((48, 64, 3), 5 * number, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
    return folder


def write_odd_files(folder: Path) -> None:
    """Five that are used, six that are not, and one that is no video."""
    write_video(folder / "train" / "Über den Fluß.mp4", 4)
    write_video(folder / "train" / "short.avi", 0.04)
    write_video(folder / "val" / "live.mkv", 2, {"live": "1"})
    write_video(folder / "test" / "camera 2" / "stream.ts", 2)
    write_images(folder / "test" / "walk", 50)

    half = write_video(folder / "train" / "half.mkv", 4)
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    twice = write_video(folder / "train" / "twice.ts", 2)
    twice.write_bytes(2 * twice.read_bytes())
    (folder / "train" / "text.mp4").write_text("this is no video")
    (folder / "val" / "empty.mov").touch()
    (folder / "val" / "circle.mp4").symlink_to(folder / "val" / "circle.mp4")
    (write_images(folder / "test" / "mixed", 2) / "notes.txt").touch()
    (folder / "test" / "walk.srt").touch()


def run(project: Any, max_bad_share: float) -> None:
    ingestion = {"max_bad_share": max_bad_share}
    project.run("video_ingestion", "feature_extraction", params={"video_ingestion": ingestion} | ENCODER)


def annotate(project: Any, line: str) -> None:
    path = project.path / "data/test/01_raw/annotations.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"video,start,end,label\n{line}\n", encoding="utf-8")


def test_a_folder_of_odd_files_is_counted_to_the_last(project: Any) -> None:
    write_odd_files(project.path / "data/test/01_raw/videos")
    annotate(project, "Über den Fluß,1.0,2.0,cross")
    run(project, max_bad_share=0.6)

    reasons = dict(project.load("set_aside_videos").iter_rows())
    expected = {
        "test/mixed": "holds more than .jpeg, .jpg, .png: notes.txt",
        "train/half.mkv": "cut off: of the 4.00 s it promises",
        "train/text.mp4": "cannot be opened as a video",
        "train/twice.ts": "timestamps go back",
        "val/circle.mp4": "leads in a circle",
        "val/empty.mov": "cannot be opened as a video",
    }
    assert reasons.keys() == expected.keys()
    assert [path for path in expected if expected[path] not in reasons[path]] == []

    found = project.load("video_metrics")
    assert found["set_aside"] == 6
    assert {split: counts["videos"] for split, counts in found["splits"].items()} == {
        "train": 2,
        "val": 1,
        "test": 2,
    }
    # At 6.25 steps a second: 4 s and less than a step; 2 s; 2 s of 25 frames, and of 25 images, a second.
    steps = {"Über den Fluß": 25, "short": 1, "live": 12, "camera 2/stream": 12, "walk": 12}
    store = project.load("frame_features")
    assert {video: len(features) for video, features in store.items()} == steps
    extracted = project.load("feature_metrics")
    assert (extracted["videos"], extracted["steps"], extracted["dimension"]) == (5, 62, 8)
    assert sum(counts["steps"] for counts in found["splits"].values()) == 62


def test_real_recordings_become_features(project: Any, shared_data: Path) -> None:
    recordings = sorted((shared_data / "videos").iterdir())
    splits = ["test"] + ["val"] + ["train"] * (len(recordings) - 2)
    for split, recording in zip(splits, recordings, strict=True):
        path = project.path / "data/test/01_raw/videos" / split / recording.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(recording.read_bytes())
    annotate(project, "mma_test,1.0,2.0,punch")
    run(project, max_bad_share=0.2)
    assert project.load("set_aside_videos")["path"].to_list() == ["test/corrupted.mp4"]
    found, extracted = project.load("video_metrics"), project.load("feature_metrics")
    assert (found["set_aside"], extracted["videos"]) == (1, len(recordings) - 1)
    assert extracted["steps"] == sum(counts["steps"] for counts in found["splits"].values())
