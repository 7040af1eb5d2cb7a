from pathlib import Path

import av
import numpy as np
import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.video import media
from prolepsis.video.errors import UnreadableVideoError
from prolepsis.video.image_folders import numbered_images
from prolepsis.video.media import check_inside, find_passed_over, find_videos, frames_at, probe

CODECS = {".png": ("png", "rgb24"), ".jpg": ("mjpeg", "yuvj444p"), ".jpeg": ("mjpeg", "yuvj444p")}


def write_image(path: Path, grey: int, height: int = 24, width: int = 33) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    codec, pixels = CODECS[path.suffix]
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = height, width, pixels
        picture = np.full((height, width, 3), grey, dtype=np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def write_images(folder: Path, names: list[str]) -> Path:
    """Images that get lighter by ten from one to the next."""
    for place, name in enumerate(names):
        write_image(folder / name, 10 * place)
    return folder


def greys(folder: Path, times: list[float], rate: float = 10.0) -> list[int]:
    return [round(float(picture.mean()) / 10) for picture in frames_at(folder, times, image_folder_rate=rate)]


@pytest.mark.parametrize("suffix", CODECS)
def test_a_folder_of_images_is_a_video(tmp_path: Path, suffix: str) -> None:
    folder = write_images(tmp_path / "walk", [f"frame {number}{suffix}" for number in range(8, 13)])
    info = probe(folder, image_folder_rate=10.0)
    assert (info.container, info.codec) == ("images", CODECS[suffix][0])
    assert (info.width, info.height, info.rotation, info.num_frames) == (33, 24, 0, 5)
    assert info.frames_per_second == info.nominal_frames_per_second == 10.0
    assert info.duration == pytest.approx(0.5)
    assert info.problems == ()


def test_images_are_shown_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "walk", [f"camera 2 frame {number}.png" for number in range(8, 13)])
    assert greys(folder, [0.05, 0.15, 0.25, 0.35, 0.45]) == [0, 1, 2, 3, 4]
    zeros = write_images(tmp_path / "zeros", [f"{number:03d}_rgb.png" for number in range(98, 103)])
    assert greys(zeros, [0.0, 0.1, 0.2, 0.3, 0.4]) == [0, 1, 2, 3, 4]


def test_an_image_is_on_show_until_the_next_one(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "walk", [f"{number}.png" for number in range(1, 5)])
    assert greys(folder, [-1.0, 0.0, 0.099, 0.1, 0.3, 9.0]) == [0, 0, 0, 1, 3, 3]
    assert greys(folder, [0.0, 0.3], rate=5.0) == [0, 1]
    (picture,) = frames_at(folder, [0.0], size=(12, 16), image_folder_rate=10.0)
    assert picture.shape == (12, 16, 3)


def test_images_that_nobody_asked_for_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_images(tmp_path / "walk", [f"{number}.png" for number in range(9)])
    read: list[str] = []
    original = media._image
    monkeypatch.setattr(media, "_image", lambda path: read.append(path.name) or original(path))
    assert greys(folder, [0.25, 0.25, 0.7]) == [2, 2, 7]
    assert read == ["2.png", "7.png"]


def test_without_a_rate_there_is_no_time(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "walk", ["1.png"])
    with pytest.raises(ProlepsisError, match="how many of them make a second"):
        probe(folder)
    with pytest.raises(ProlepsisError, match="how many of them make a second"):
        list(frames_at(folder, [0.0]))


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["1.png", "2.png", "4.png"], "The image 3 is missing"),
        (["a1.png", "a2.png", "a10.png"], "The images 3 to 9 are missing"),
        (["1.png", "2.png", "02.png"], r"The images 02.png and 2.png have the same number"),
        (["1.png", "1.jpg"], r"The images 1.jpg and 1.png have the same number"),
        (["1.png", "cover.png"], r"The image cover.png has no number"),
        (["a1.png", "a2.png", "b3.png"], "differ in more than their number: a… and b…"),
    ],
)
def test_a_sequence_with_a_fault_is_refused(tmp_path: Path, names: list[str], reason: str) -> None:
    folder = write_images(tmp_path / "walk", names)
    with pytest.raises(UnreadableVideoError, match=reason) as caught:
        probe(folder, image_folder_rate=10.0)
    assert caught.value.where == folder


def test_images_of_different_sizes_are_refused(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "walk", ["1.png", "2.png"])
    write_image(folder / "3.png", 0, height=30, width=40)
    with pytest.raises(UnreadableVideoError, match=r"1.png is 33x24, 3.png is 40x30"):
        probe(folder, image_folder_rate=10.0)


def test_a_damaged_image_is_refused(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "walk", ["1.png", "2.png"])
    (folder / "2.png").write_text("this is no image")
    with pytest.raises(
        UnreadableVideoError, match=r"The image 2.png cannot be used: It cannot be (opened|decoded)"
    ):
        probe(folder, image_folder_rate=10.0)


def test_a_folder_of_images_without_subfolders_and_videos_is_found(tmp_path: Path) -> None:
    write_images(tmp_path / "train" / "walk", ["1.png", ".2.png", "2.jpg"])
    (tmp_path / "train" / "walk" / ".index").touch()
    write_images(tmp_path / "parent", ["1.png"])
    write_images(tmp_path / "parent" / "child", ["1.png"])
    write_images(tmp_path, ["1.png"])
    videos = [tmp_path / "parent" / "child", tmp_path / "train" / "walk"]
    assert find_videos(tmp_path) == videos
    assert find_passed_over(tmp_path, videos) == [tmp_path / "1.png", tmp_path / "parent" / "1.png"]
    assert [image.name for image in numbered_images(tmp_path / "train" / "walk")] == ["1.png", "2.jpg"]


@pytest.mark.parametrize(
    ("name", "files", "reason"),
    [
        ("mixed", ["1.png", "notes.txt"], r"more than .jpeg, .jpg, .png: notes.txt"),
        ("bitmaps", ["1.bmp", "2.bmp"], r"more than .jpeg, .jpg, .png: 1.bmp"),
        ("clip.mp4", [], "with nothing in it"),
    ],
)
def test_a_folder_meant_as_a_video_is_found_and_refused(
    tmp_path: Path, name: str, files: list[str], reason: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    for file in files:
        (folder / file).touch()
    assert find_videos(tmp_path) == [folder]
    with pytest.raises(UnreadableVideoError, match=reason):
        probe(folder, image_folder_rate=10.0)


def test_an_image_that_is_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "videos" / "walk", ["1.png", "2.png"])
    check_inside(folder, tmp_path / "videos")
    write_image(tmp_path / "3.png", 0)
    (folder / "3.png").symlink_to(tmp_path / "3.png")
    with pytest.raises(UnreadableVideoError, match=r"3.png is a symbolic link"):
        check_inside(folder, tmp_path / "videos")
