"""The best moments of a film: which, and what is written of them."""

import json
import re
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import polars as pl
import pytest
from PIL import Image

from prolepsis.action.hysteresis import Hysteresis
from prolepsis.errors import ProlepsisError
from prolepsis.video.errors import UnreadableVideoError
from prolepsis.video.media import VideoFrames, probe, to_picture
from prolepsis.watch.highlights import (
    WatchedVideo,
    check_writable,
    cut_video,
    find_highlights,
    merge_spans,
    write_highlights,
)

RULE = Hysteresis(0.5, 0.3, min_steps=2)
RATE = 5.0


def grey_film(path: Path, seconds: float, width: int = 64, height: int = 48) -> Path:
    """25 pictures a second, each as bright as it is late."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        for number in range(round(25 * seconds)):
            picture = np.full((height, width, 3), 20 + 2 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def numbers(path: Path) -> list[tuple[float, int]]:
    """The times of a film's frames, and which of the grey pictures each shows."""
    return [
        (round(time, 4), round((float(to_picture(frame, None).mean()) - 20) / 2))
        for time, frame in VideoFrames(path)
    ]


@pytest.fixture
def video(tmp_path: Path) -> WatchedVideo:
    """Four seconds: a wave of 0.6 at 0.4 to 1.0 s, a better one at 2.0 to 2.8 s, a jump at 2.4 to 3.0 s."""
    scores = np.zeros((20, 3), np.float32)
    scores[2:5, 1] = 0.6
    scores[10:14, 1] = [0.7, 0.7, 0.9, 0.7]
    scores[12:15, 2] = 0.55
    scores[17, 1] = 0.95  # too short
    scores[:, 0] = 1 - scores[:, 1:].sum(axis=1)
    path = grey_film(tmp_path / "film.mp4", 4.0)
    return WatchedVideo(path, "trn", ["background", "wave", "jump up"], RATE, scores, 25.0)


def test_the_best_segments_of_each_class_come_first(video: WatchedVideo) -> None:
    found = find_highlights(video, RULE, best=3)
    assert [(one.class_index, one.start, one.end) for one in found] == [
        (1, 2.0, pytest.approx(2.8)),
        (1, 0.4, 1.0),
        (2, pytest.approx(2.4), 3.0),
    ]
    assert found[0].mean_probability == pytest.approx(0.75)
    assert found[0].peak_probability == pytest.approx(0.9)
    assert found[0].peak_time == pytest.approx(2.5)
    assert [one.start for one in find_highlights(video, RULE, best=1)] == [2.0, pytest.approx(2.4)]
    assert [one.class_index for one in find_highlights(video, RULE, best=3, classes={2})] == [2]


def test_the_folder_holds_tables_pictures_a_page_and_the_cut(video: WatchedVideo, tmp_path: Path) -> None:
    folder = tmp_path / "highlights"
    found = find_highlights(video, RULE, best=3)
    table = write_highlights(folder, video, found, RULE, cut=True)

    assert pl.read_csv(folder / "highlights.csv").equals(table)
    written = json.loads((folder / "highlights.json").read_text())
    assert written["highlights"] == table.to_dicts()
    assert (written["detector"], written["steps"], written["start_threshold"]) == ("trn", 20, 0.5)
    assert table["class"].to_list() == ["wave", "wave", "jump up"]
    for name, one in zip(table["thumbnail"], found, strict=True):
        [(_, shown)] = numbers(folder / name)
        assert shown == pytest.approx(one.peak_time * 25, abs=2)
    assert (folder / "thumbnails" / "002_jump_up.jpg").is_file()

    page = (folder / "index.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 10 + 3
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "wave, 2.0 to 2.8 s, 75 %" in page
    assert "kedro highlights" in page and "kedro run" not in page

    # Wave from 0.4 to 1.0, then wave and jump together from 2.0 to 3.0.
    cut = probe(folder / "highlights.mp4")
    assert (cut.codec, cut.width, cut.height) == ("h264", 64, 48)
    assert cut.duration == pytest.approx(1.6, abs=0.01)
    expected = [*range(10, 25), *range(50, 75)]
    shown = numbers(folder / "highlights.mp4")
    assert [number for _, number in shown] == pytest.approx(expected, abs=1)
    assert [time for time, _ in shown] == pytest.approx([index / 25 for index in range(40)], abs=0.001)


def test_writing_again_replaces_the_folder(video: WatchedVideo, tmp_path: Path) -> None:
    folder = tmp_path / "highlights"
    found = find_highlights(video, RULE, best=3)
    write_highlights(folder, video, found, RULE, cut=True)
    write_highlights(folder, video, found[:1], RULE, cut=False)
    assert not (folder / "highlights.mp4").exists()
    assert len(list((folder / "thumbnails").iterdir())) == 1


def test_the_highlights_of_another_video_of_that_name_are_left_alone(
    video: WatchedVideo, tmp_path: Path
) -> None:
    write_highlights(tmp_path / "highlights", video, [], RULE, cut=False)
    other = replace(video, path=tmp_path / "elsewhere" / video.path.name)
    with pytest.raises(ProlepsisError, match=f"another video, {re.escape(str(video.path))}"):
        write_highlights(tmp_path / "highlights", other, [], RULE, cut=False)


def test_a_folder_of_other_things_is_left_alone(video: WatchedVideo, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(ProlepsisError, match="would be replaced"):
        write_highlights(tmp_path / "mine", video, [], RULE, cut=False)
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_nothing_found_is_said_and_nothing_is_cut(video: WatchedVideo, tmp_path: Path) -> None:
    table = write_highlights(tmp_path / "highlights", video, [], RULE, cut=True)
    assert table.is_empty()
    assert "A lower --threshold finds more" in (tmp_path / "highlights" / "index.html").read_text()
    assert not (tmp_path / "highlights" / "highlights.mp4").exists()


def test_a_cut_begins_with_the_frame_on_show(tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.mkdir()
    for number in range(4):  # at 0, 5, 10 and 15 s
        picture = np.full((48, 64, 3), 20 + 2 * number, np.uint8)
        Image.fromarray(picture).save(slow / f"{number}.png")
    cut_video(slow, [(1.0, 2.0), (4.0, 12.0), (13.0, 14.0)], tmp_path / "cut.mp4", image_folder_rate=0.2)
    assert numbers(tmp_path / "cut.mp4") == [(0.0, 0), (1.0, 0), (2.0, 1), (7.0, 2), (9.0, 2)]


@pytest.mark.parametrize("off", [1e-6, -1e-6, 1e-12, -1e-12])
def test_spans_that_meet_frames_but_for_rounding_are_cut_there(tmp_path: Path, off: float) -> None:
    film = grey_film(tmp_path / "film.mp4", 1.0)
    cut_video(film, [(0.2 + off, 0.28 + off), (0.4 + off, 0.44 + off)], tmp_path / "cut.mp4")
    assert [number for _, number in numbers(tmp_path / "cut.mp4")] == [5, 6, 10]


def test_a_film_that_begins_late_is_cut_from_its_first_frame(tmp_path: Path) -> None:
    slow = grey_film(tmp_path / "film.mp4", 1.0)
    cut_video(slow, [(0.5, 0.6), (0.99, 3.0)], tmp_path / "cut.mp4")
    assert numbers(tmp_path / "cut.mp4") == [(0.0, 12), (0.02, 13), (0.06, 14), (0.1, 24)]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"video": 3}', '"video"'])
def test_a_folder_with_another_file_of_that_name_is_left_alone(
    content: str, video: WatchedVideo, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "highlights.json").write_text(content)
    with pytest.raises(ProlepsisError, match="holds other things than highlights"):
        check_writable(folder, video.path)


def test_there_is_no_folder_above_the_root(video: WatchedVideo) -> None:
    with pytest.raises(ProlepsisError, match="holds other things than highlights"):
        check_writable(Path("/"), video.path)


def test_a_film_with_odd_sides_is_cut_to_even_ones(tmp_path: Path) -> None:
    film = grey_film(tmp_path / "odd.mp4", 1.0, 63, 47)
    cut_video(film, [(0.0, 0.4)], tmp_path / "cut.mp4")
    cut = probe(tmp_path / "cut.mp4")
    assert (cut.width, cut.height, cut.num_frames) == (62, 46, 10)


def test_a_film_that_cannot_be_read_leaves_nothing(video: WatchedVideo, tmp_path: Path) -> None:
    found = find_highlights(video, RULE, best=3)
    video.path.write_bytes(b"no film")
    with pytest.raises(UnreadableVideoError):
        write_highlights(tmp_path / "highlights", video, found, RULE, cut=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4"]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], []),
        ([(3, 4), (0, 1)], [(0, 1), (3, 4)]),
        ([(0, 5), (1, 2)], [(0, 5)]),
        ([(0, 1), (1, 2)], [(0, 2)]),
    ],
)
def test_spans_that_overlap_become_one(spans: list[tuple[int, int]], expected: list[tuple[int, int]]) -> None:
    assert merge_spans(spans) == expected
