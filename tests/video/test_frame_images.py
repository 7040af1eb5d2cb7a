"""The store of frames holds what the videos show, and says when it is not whole."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.video.frame_images import FilmedVideo, FrameImages, FrameImageStream, write_frame_images
from prolepsis.video.media import frames_at

from support import write_video

LENGTHS = {"walk": 26, "jump": 11, "spin": 17}


def stream(folder: Path, threads: int = 1, sha256: str = "0" * 64) -> FrameImageStream:
    """Three videos of 12.5 frames a second, of which every second one is a step's."""
    for number, (video, frames) in enumerate(LENGTHS.items()):
        if not (folder / f"{video}.mp4").exists():
            write_video(folder / f"{video}.mp4", frames, number)
    videos = [
        FilmedVideo(video, split, folder / f"{video}.mp4", frames // 2, sha256)
        for (video, frames), split in zip(LENGTHS.items(), ("train", "val", "train"), strict=True)
    ]
    return FrameImageStream(videos, rate=6.25, size=24, decoder_threads=threads)


@pytest.fixture
def images(tmp_path: Path) -> FrameImages:
    write_frame_images(tmp_path, stream(tmp_path / "videos"))
    return FrameImages.open(tmp_path)


def test_each_step_has_the_frame_on_show_at_its_centre(images: FrameImages, tmp_path: Path) -> None:
    assert list(images) == list(LENGTHS)
    for video, frames in LENGTHS.items():
        centres = [(step + 0.5) / 6.25 for step in range(frames // 2)]
        shown = np.stack(list(frames_at(tmp_path / "videos" / f"{video}.mp4", centres, (24, 24))))
        assert np.array_equal(images[video], shown)
        assert len(np.unique(shown, axis=0)) == len(shown)
    assert images.frames.shape == (26, 24, 24, 3)
    assert images.frames.dtype == np.uint8


def test_a_split_is_the_places_of_its_videos(images: FrameImages) -> None:
    assert images.of_split("train") == [slice(0, 13), slice(18, 26)]
    assert images.of_split("val") == [slice(13, 18)]
    assert images.of_split("test") == []


def test_a_row_of_its_profile_says_what_a_videos_pixels_are_like(images: FrameImages) -> None:
    for row in images.profile().iter_rows(named=True):
        frames = images[row["video"]]
        assert (row["minimum"], row["maximum"]) == (frames.min(), frames.max())
        assert row["mean"] == pytest.approx(frames.mean())


def test_threads_change_nothing_and_another_source_changes_the_hash(
    images: FrameImages, tmp_path: Path
) -> None:
    hashes = []
    for name, one in {
        "threads": stream(tmp_path / "videos", threads=3),
        "source": stream(tmp_path / "videos", sha256="1" * 64),
    }.items():
        (tmp_path / name).mkdir()
        write_frame_images(tmp_path / name, one)
        again = FrameImages.open(tmp_path / name)
        assert np.array_equal(again.frames, images.frames)
        hashes.append(again.hash)
    assert hashes[0] == images.hash != hashes[1]


def test_another_process_is_sent_the_path_and_not_the_frames(images: FrameImages) -> None:
    assert images.frames.any()
    sent = pickle.dumps(images)
    assert len(sent) < 5_000 < images.frames.nbytes
    assert np.array_equal(pickle.loads(sent).frames, images.frames)


def test_frames_cannot_be_changed(images: FrameImages) -> None:
    with pytest.raises(ValueError, match="read-only"):
        images["walk"][0] = 0


def test_a_store_that_is_cut_off_or_absent_is_refused(images: FrameImages, tmp_path: Path) -> None:
    with (tmp_path / "frames.npy").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ProlepsisError, match=r"1,000 bytes instead of 45,056"):
        FrameImages.open(tmp_path)
    with pytest.raises(ProlepsisError, match="no frame images"):
        FrameImages.open(tmp_path / "nowhere")


def test_a_missing_video_and_no_video_at_all_are_told(tmp_path: Path) -> None:
    absent = FilmedVideo("walk", "train", tmp_path / "walk.mp4", 4, "0" * 64)
    for threads in (1, 2):
        with pytest.raises(ProlepsisError, match="no such file"):
            write_frame_images(tmp_path, FrameImageStream([absent] * 3, 6.25, 24, threads))
    with pytest.raises(ProlepsisError, match="no video to take frames from"):
        write_frame_images(tmp_path, FrameImageStream([], 6.25, 24))
