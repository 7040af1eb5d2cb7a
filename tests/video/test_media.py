import bisect
import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from hypothesis import given, settings
from hypothesis import strategies as st

from prolepsis.video import media
from prolepsis.video.errors import UnreadableVideoError
from prolepsis.video.media import (
    SUFFIXES,
    check_inside,
    find_passed_over,
    find_videos,
    frames_at,
    probe,
)

TICKS = Fraction(1, 1000)


def write_video(
    path: Path,
    pictures: list[np.ndarray],
    ticks: list[int] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    encoder_options: dict[str, str] | None = None,
    container_format: str | None = None,
) -> Path:
    """Pictures at the given milliseconds; by default 40 ms apart."""
    with av.open(str(path), "w", format=container_format, options=options or {}) as container:
        stream = container.add_stream(codec, rate=25, options=encoder_options or {})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        stream.codec_context.time_base = TICKS if ticks else Fraction(1, 25)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = ticks[number] if ticks else number
            frame.time_base = stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def greys(count: int, height: int = 32, width: int = 48) -> list[np.ndarray]:
    """Plain pictures; `grey_number` reads from a decoded one which it was."""
    return [np.full((height, width, 3), 20 + 8 * number, dtype=np.uint8) for number in range(count)]


def grey_number(picture: np.ndarray) -> int:
    return round((float(picture.mean()) - 20) / 8)


def noise(count: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return list(generator.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8))


# Encoder: the codec's name, and the files that can hold it.
CODECS = {
    "libx264": ("h264", "mp4 m4v mkv avi mov ts mts m2ts mpg flv 3gp wmv"),
    "libx265": ("hevc", "mp4 mkv mov ts"),
    "mpeg4": ("mpeg4", "mp4 m4v mkv avi mov ts 3gp"),
    "libvpx-vp9": ("vp9", "mp4 mkv avi webm"),
    "libvpx": ("vp8", "mkv webm ogv"),
    "libsvtav1": ("av1", "mp4 mkv avi webm"),
    "mjpeg": ("mjpeg", "mp4 mkv avi mov"),
    "mpeg2video": ("mpeg2video", "mpg vob ts mkv avi"),
    "mpeg1video": ("mpeg1video", "mpg mpeg avi"),
    "wmv2": ("wmv2", "wmv asf"),
    "flv1": ("flv1", "flv"),
}
CONTAINERS = {
    "m4v": "mov",
    "mkv": "matroska",
    "ts": "mpegts",
    "mts": "mpegts",
    "m2ts": "mpegts",
    "vob": "mpeg",
    "mpg": "mpeg",
    "mpeg": "mpeg",
    "wmv": "asf",
    "ogv": "ogg",
}


@pytest.mark.parametrize(
    ("encoder", "codec", "suffix"),
    [(encoder, codec, suffix) for encoder, (codec, files) in CODECS.items() for suffix in files.split()],
)
def test_a_video_is_what_was_written(tmp_path: Path, encoder: str, codec: str, suffix: str) -> None:
    pixels = "yuvj420p" if encoder == "mjpeg" else "yuv420p"
    path = write_video(tmp_path / f"a.{suffix}", greys(25, 64, 96), codec=encoder, pixels=pixels)
    info = probe(path)
    assert (info.container, info.codec) == (CONTAINERS.get(suffix, suffix), codec)
    assert (info.width, info.height, info.rotation, info.num_frames) == (96, 64, 0, 25)
    assert info.duration == pytest.approx(1.0, abs=0.001)
    assert info.frames_per_second == pytest.approx(25.0, rel=0.001)
    assert info.nominal_frames_per_second == 25.0
    # Each frame is on show from its own time to just before the next one's.
    starts = [number / 25 for number in range(25)]
    assert [grey_number(frame) for frame in frames_at(path, [time + 0.001 for time in starts])] == [
        *range(25)
    ]
    assert [grey_number(frame) for frame in frames_at(path, [time + 0.038 for time in starts])] == [
        *range(25)
    ]


def test_every_suffix_is_among_those_tested() -> None:
    tested = {suffix for _, files in CODECS.values() for suffix in files.split()}
    assert {f".{suffix}" for suffix in tested} == set(SUFFIXES)


def test_a_name_may_have_spaces_and_letters_of_any_script(tmp_path: Path) -> None:
    path = write_video(tmp_path / "Über den Fluß – 第 1 日.mp4", greys(3))
    assert probe(path).num_frames == 3
    assert [grey_number(frame) for frame in frames_at(path, [0.05])] == [1]
    assert find_videos(tmp_path) == [path]


@pytest.mark.parametrize(
    ("pixels", "codec"),
    [
        ("yuv444p", "libx264"),
        ("yuvj420p", "libx264"),
        ("yuv420p10le", "libx264"),
        ("yuv422p10le", "libx264"),
        ("yuv420p10le", "libsvtav1"),
        ("rgb24", "libx264rgb"),
        ("yuv444p", "libvpx-vp9"),
        ("yuv422p10le", "prores_ks"),
        ("yuv411p", "ffv1"),
        ("gray16le", "ffv1"),
        ("gbrp16le", "ffv1"),
        ("uyvy422", "rawvideo"),
        ("rgba", "png"),
    ],
)
def test_pixels_of_any_kind_are_read(tmp_path: Path, pixels: str, codec: str) -> None:
    path = write_video(
        tmp_path / ("odd.mkv" if codec in ("ffv1", "libsvtav1", "libvpx-vp9") else "odd.mov"),
        greys(5),
        None,
        codec,
        pixels,
    )
    times = [(number + 0.5) / 25 for number in range(5)]
    assert [grey_number(picture) for picture in frames_at(path, times)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("codec", ["mpeg4", "libvpx-vp9", "mjpeg"])
@pytest.mark.parametrize(("height", "width"), [(33, 47), (33, 48), (64, 65), (1, 1)])
def test_sizes_may_be_odd(tmp_path: Path, codec: str, height: int, width: int) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_video(tmp_path / "odd.mkv", greys(3, height, width), codec=codec, pixels=pixels)
    assert (probe(path).height, probe(path).width) == (height, width)
    (picture,) = frames_at(path, [0.05])
    assert picture.shape == (height, width, 3)
    assert grey_number(picture) == 1


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts", "wmv", "mpg"])
def test_frames_stored_in_another_order_are_shown_in_theirs(tmp_path: Path, suffix: str) -> None:
    b_frames = {"bf": "3", "preset": "veryslow"}
    path = write_video(tmp_path / f"b_frames.{suffix}", greys(25), encoder_options=b_frames)
    with av.open(str(path)) as container:
        assert PictureType.B in {frame.pict_type for frame in container.decode(video=0)}
    assert probe(path).duration == pytest.approx(1.0)
    times = [(number + 0.5) / 25 for number in range(25)]
    assert [grey_number(frame) for frame in frames_at(path, times)] == [*range(25)]


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "libx264"), ("webm", "libvpx-vp9")])
def test_a_file_need_not_say_how_long_it_is(tmp_path: Path, suffix: str, codec: str) -> None:
    path = write_video(tmp_path / f"live.{suffix}", greys(25), codec=codec, options={"live": "1"})
    with av.open(str(path)) as container:
        assert container.duration is None
    assert (probe(path).num_frames, probe(path).duration) == (25, pytest.approx(1.0))
    assert probe(path).problems == ("no duration in the header",)
    assert [grey_number(frame) for frame in frames_at(path, [0.5, 0.99])] == [12, 24]


def test_a_file_in_fragments_is_read(tmp_path: Path) -> None:
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    path = write_video(tmp_path / "fragments.mp4", greys(25), options=fragments)
    assert (probe(path).num_frames, probe(path).duration) == (25, pytest.approx(1.0))


def claim_frames(path: Path, count: int) -> None:
    """Writes another number of frames into the header of an AVI file."""
    content = bytearray(path.read_bytes())
    for chunk, offset in ((b"avih", 16), (b"strh", 32)):
        field = content.index(chunk) + 8 + offset
        content[field : field + 4] = struct.pack("<I", count)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("claimed", "problem"),
    [
        (0, "no duration in the header"),
        (5, "the header promises 5 frames, 25 are there"),
        (26, "the header promises 26 frames, 25 are there"),
    ],
)
def test_the_number_of_frames_is_what_is_there_not_what_the_header_says(
    tmp_path: Path, claimed: int, problem: str
) -> None:
    path = write_video(tmp_path / "lies.avi", greys(25), codec="mpeg4")
    claim_frames(path, claimed)
    assert probe(path).problems == (problem,)
    assert (probe(path).num_frames, probe(path).duration) == (25, pytest.approx(1.0))
    assert [grey_number(frame) for frame in frames_at(path, [0.5, 0.99])] == [12, 24]


# A start that is not zero, and gaps of any length.
VARIABLE = [5000, 5010, 5400, 5410, 5420, 6900, 7000, 7033, 9000]


@pytest.fixture(scope="module", params=["mkv", "mp4", "mov", "ts", "flv"])
def variable(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("variable") / f"variable.{request.param}"
    return write_video(path, greys(len(VARIABLE)), ticks=VARIABLE)


@settings(max_examples=40, deadline=None)
@given(times=st.lists(st.integers(-1000, 6000), min_size=1, max_size=12).map(sorted))
def test_the_frame_on_show_is_the_last_that_started(variable: Path, times: list[int]) -> None:
    starts = [tick - VARIABLE[0] for tick in VARIABLE]
    expected = [max(0, bisect.bisect_right(starts, time) - 1) for time in times]
    shown = [grey_number(frame) for frame in frames_at(variable, [time / 1000 for time in times])]
    assert shown == expected


def test_time_is_that_of_the_timestamps(variable: Path) -> None:
    info = probe(variable)
    assert info.problems == (
        "variable frame rate: from one frame to the next are 10 to 1967 ms",
        "starts at 5.00 s; times count from there",
    )
    assert info.num_frames == len(VARIABLE)
    assert 4.0 < info.duration < 6.1  # from the first frame's start to the last one's end
    assert info.frames_per_second == pytest.approx(len(VARIABLE) / info.duration)


def test_frames_without_timestamps_follow_at_the_nominal_rate(tmp_path: Path) -> None:
    path = write_video(tmp_path / "raw.m4v", greys(25), container_format="h264")
    info = probe(path)
    assert (info.num_frames, info.duration) == (25, pytest.approx(1.0))
    assert "25 frames without timestamps, placed at the nominal rate" in info.problems
    assert [grey_number(frame) for frame in frames_at(path, [0.5, 0.99])] == [12, 24]


@pytest.mark.parametrize("rate", [24, 30, 60])
def test_timestamps_rounded_to_milliseconds_make_no_variable_rate(tmp_path: Path, rate: int) -> None:
    ticks = [round(1000 * number / rate) for number in range(25)]
    assert probe(write_video(tmp_path / "rounded.mkv", greys(25), ticks)).problems == ()


def test_frames_are_scaled_to_the_size_asked_for(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", greys(3))
    (picture,) = frames_at(path, [0.0], size=(20, 10))
    assert picture.shape == (20, 10, 3)
    assert picture.dtype == np.uint8


def test_frames_that_nobody_asked_for_are_not_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", greys(25))
    converted = []
    original = media.to_picture
    monkeypatch.setattr(media, "to_picture", lambda *given: converted.append(1) or original(*given))
    assert len(list(frames_at(path, [0.1, 0.1, 0.5, 7.0, 8.0]))) == 5
    assert len(converted) == 3


def test_decoding_goes_no_further_than_the_last_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", noise(100), options={"movflags": "faststart"})
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    path.write_bytes(content)
    assert len(list(frames_at(path, [0.0, 0.5, 1.0]))) == 3
    with pytest.raises(UnreadableVideoError, match="cannot be decoded beyond"):
        list(frames_at(path, [0.0, 3.5]))


def test_times_must_ascend(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", greys(3))
    with pytest.raises(ValueError, match="ascend"):
        next(frames_at(path, [1.0, 0.5]))
    assert list(frames_at(path, [])) == []


def test_the_rotation_tag_is_applied(tmp_path: Path) -> None:
    """The matrix of a phone held upright, by ISO 14496-12: x' = -y, y' = x, so the left becomes the top."""
    left_is_white = np.zeros((32, 64, 3), dtype=np.uint8)
    left_is_white[:, :32] = 255
    path = write_video(tmp_path / "a.mp4", [left_is_white] * 3)
    content = bytearray(path.read_bytes())
    one = 1 << 16
    upright = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, one, 0, -one, 0, 0, 32 * one, 0, 1 << 30)
    header = content.index(b"tkhd")
    matrix = content.index(upright, header)
    content[matrix : matrix + len(turned)] = turned
    path.write_bytes(content)

    info = probe(path)
    assert (info.width, info.height, info.rotation) == (32, 64, 270)
    (picture,) = frames_at(path, [0.0])
    assert picture.shape == (64, 32, 3)
    assert picture[:28].min() > 200
    assert picture[36:].max() < 50
    (small,) = frames_at(path, [0.0], size=(16, 8))
    assert small.shape == (16, 8, 3)


@pytest.mark.parametrize("suffix", ["mkv", "mov", "mp4"])
@pytest.mark.parametrize(
    ("degrees", "corner"), [(90, "bottom left"), (180, "bottom right"), (270, "top right")]
)
def test_every_quarter_turn_of_a_rotation_tag_is_applied(
    tmp_path: Path, suffix: str, degrees: int, corner: str
) -> None:
    top_left_is_white = np.zeros((32, 64, 3), dtype=np.uint8)
    top_left_is_white[:16, :32] = 255
    path = tmp_path / f"turned.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 64, "yuv420p"
        stream.set_display_rotation(degrees)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(top_left_is_white, format="rgb24")))
        container.mux(stream.encode())
    size = (64, 32) if degrees % 180 else (32, 64)
    info = probe(path)
    assert (info.height, info.width, info.rotation) == (*size, degrees)
    (picture,) = frames_at(path, [0.0])
    assert picture.shape == (*size, 3)
    rows, columns = {"top": 4, "bottom": -4}, {"left": 4, "right": -4}
    white = [
        f"{row} {column}"
        for row in rows
        for column in columns
        if picture[rows[row], columns[column]].min() > 200
    ]
    assert white == [corner]


def _text(path: Path) -> None:
    path.write_text("this is no video")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _audio_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _no_frames(path: Path) -> None:
    whole = write_video(path.with_suffix(".mkv"), noise(3))
    content = whole.read_bytes()
    whole.unlink()
    path.write_bytes(content[: content.index(bytes.fromhex("1f43b675"))])  # up to Matroska's first cluster


def _cut_in_half(path: Path) -> None:
    content = write_video(path.with_suffix(".mkv"), noise(100)).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _without_its_index(path: Path) -> None:
    content = write_video(path, noise(50)).read_bytes()
    path.write_bytes(content[: int(len(content) * 0.9)])


def _half_a_flash_video(path: Path) -> None:
    content = write_video(path.with_suffix(".flv"), noise(100)).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _promises_forty_times_as_much(path: Path) -> None:
    whole = write_video(path.with_suffix(".avi"), greys(25), codec="mpeg4")
    claim_frames(whole, 1000)
    whole.rename(path)


def _half_an_avi(path: Path) -> None:
    content = write_video(path.with_suffix(".avi"), noise(100), codec="mpeg4").read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _damaged(path: Path) -> None:
    content = bytearray(write_video(path, noise(100)).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_text, "cannot be opened"),
        (_empty, "cannot be opened"),
        (_audio_only, "no video stream"),
        (_no_frames, "not one frame|cannot be opened"),
        (_cut_in_half, "cut off: of the 4.00 s it promises"),
        (_without_its_index, "cannot be"),
        (_half_an_avi, "cut off: of the 100 frames it promises"),
        (_half_a_flash_video, "cannot be decoded beyond"),
        (_promises_forty_times_as_much, "cut off: of the 40.00 s it promises, 1.00 s are there"),
        (_damaged, "cannot be decoded beyond"),
    ],
)
def test_what_is_no_whole_video_is_refused_with_the_reason(tmp_path: Path, make, reason: str) -> None:
    path = tmp_path / "bad.mp4"
    make(path)
    with pytest.raises(UnreadableVideoError, match=reason) as caught:
        probe(path)
    assert caught.value.where == path


def write_with_sound(path: Path, *, seconds: int, seconds_of_sound: int) -> Path:
    """Noise to see at 25 frames a second, and silence to hear, interleaved."""
    pictures = noise(25 * seconds)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libvpx" if path.suffix == ".webm" else "mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        sound = container.add_stream("libopus", rate=48000, layout="mono")
        for second in range(max(seconds, seconds_of_sound)):
            for picture in pictures[25 * second : 25 * (second + 1)]:
                container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            if second < seconds_of_sound:
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 48000), dtype=np.int16), "s16", "mono")
                silence.sample_rate, silence.pts = 48000, 48000 * second
                container.mux(sound.encode(silence))
        container.mux(video.encode())
        container.mux(sound.encode())
    return path


@pytest.mark.parametrize("suffix", ["mkv", "webm"])
def test_half_a_recording_with_sound_is_refused(tmp_path: Path, suffix: str) -> None:
    path = write_with_sound(tmp_path / f"whole.{suffix}", seconds=8, seconds_of_sound=8)
    assert probe(path).duration == pytest.approx(8.0, abs=0.05)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableVideoError, match=r"cut off: of the 8\.\d\d s it promises, [34]\.\d\d s"):
        probe(path)


@pytest.mark.parametrize("suffix", ["mkv", "webm", "mp4"])
def test_sound_may_go_on_after_the_picture(tmp_path: Path, suffix: str) -> None:
    path = write_with_sound(tmp_path / f"long.{suffix}", seconds=3, seconds_of_sound=8)
    assert probe(path).duration == pytest.approx(3.0, abs=0.05)


def test_recordings_put_one_after_another_are_refused(tmp_path: Path) -> None:
    parts = [write_video(tmp_path / f"{number}.ts", greys(25)).read_bytes() for number in range(2)]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(parts))
    with pytest.raises(UnreadableVideoError, match=r"timestamps go back at 0\.96 s, by 0\.96 s"):
        probe(path)
    with pytest.raises(UnreadableVideoError, match="go back"):
        list(frames_at(path, [1.5]))


def test_a_long_pause_is_named_and_an_impossible_one_refused(tmp_path: Path) -> None:
    pause = write_video(tmp_path / "pause.mkv", greys(3), ticks=[0, 40, 100_040])
    assert "one frame stays on show for 100 s" in probe(pause).problems
    leap = write_video(tmp_path / "leap.mkv", greys(3), ticks=[0, 40, 50_000_040])
    with pytest.raises(UnreadableVideoError, match=r"leap at 0\.04 s, by 50000 s"):
        probe(leap)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableVideoError, match="no such file"):
        probe(tmp_path / "absent.mp4")
    with pytest.raises(UnreadableVideoError, match="no such file"):
        list(frames_at(tmp_path / "absent.mp4", [0.0]))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "videos"
    (folder / "train").mkdir(parents=True)
    return folder


def test_videos_are_found_by_suffix_in_all_folders(folder: Path) -> None:
    for name in ["b.mp4", "train/a.MKV", "train/notes.txt", ".hidden.mp4", "train/._a.mkv"]:
        (folder / name).touch()
    (folder / ".cache").mkdir()
    (folder / ".cache" / "c.mp4").touch()
    videos = [folder / "b.mp4", folder / "train" / "a.MKV"]
    assert find_videos(folder) == videos
    assert find_passed_over(folder, videos) == [folder / "train" / "notes.txt"]


def test_a_link_that_leaves_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    outside = write_video(tmp_path / "outside.mp4", greys(3))
    inside = write_video(folder / "inside.mp4", greys(3))
    (folder / "leaves.mp4").symlink_to(outside)
    (folder / "stays.mp4").symlink_to(inside)
    check_inside(folder / "stays.mp4", folder)
    with pytest.raises(UnreadableVideoError, match="outside the folder"):
        check_inside(folder / "leaves.mp4", folder)


def test_links_in_a_circle_and_to_nothing_and_what_is_no_file_are_refused(folder: Path) -> None:
    (folder / "circle.mp4").symlink_to(folder / "round.mp4")
    (folder / "round.mp4").symlink_to(folder / "circle.mp4")
    with pytest.raises(UnreadableVideoError, match="leads in a circle"):
        check_inside(folder / "circle.mp4", folder)
    (folder / "broken.mp4").symlink_to(folder / "nothing.mp4")
    os.mkfifo(folder / "pipe.mp4")
    for name, reason in [("broken", "symbolic link to nothing"), ("pipe", "a pipe, a socket or a device")]:
        with pytest.raises(UnreadableVideoError, match=reason):
            probe(folder / f"{name}.mp4")


@pytest.mark.parametrize(
    ("name", "codec", "frames", "seconds", "size"),
    [
        ("exercise.avi", "mpeg4", 393, 39.3, (384, 288)),
        ("flipping_a_pancake.mkv", "h264", 310, 10.33, (426, 240)),
        ("mma_structuralize.mp4", "h264", 300, 10.01, (426, 240)),
        ("mma_test.avi", "mpeg4", 164, 6.56, (320, 240)),
        ("v_GGSY1Qvo990.mp4", "h264", 355, 18.09, (320, 240)),
    ],
)
def test_real_recordings_are_read(
    shared_data: Path, name: str, codec: str, frames: int, seconds: float, size: tuple[int, int]
) -> None:
    info = probe(shared_data / "videos" / name)
    assert (info.codec, info.num_frames, (info.width, info.height)) == (codec, frames, size)
    assert info.duration == pytest.approx(seconds, abs=0.01)


def test_a_damaged_recording_is_refused(shared_data: Path) -> None:
    with pytest.raises(UnreadableVideoError, match=r"cannot be decoded beyond 2\.\d+ s"):
        probe(shared_data / "videos" / "corrupted.mp4")


def test_frames_of_a_real_recording_are_those_of_a_full_decode(shared_data: Path) -> None:
    path = shared_data / "videos" / "mma_demo_armwrestling.mp4"
    with av.open(str(path)) as container:
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    times = [0.08, 1.0, 4.2, 9.99]
    for time, picture in zip(times, frames_at(path, times), strict=True):
        expected = [shown for start, shown in frames if start <= time][-1]
        np.testing.assert_array_equal(picture, expected)


def test_reordered_frames_of_a_real_avi_are_shown_in_their_order(shared_data: Path) -> None:
    path = shared_data / "videos" / "mma_test.avi"  # with B-frames, whose times AVI does not store
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    times = [(number + 0.5) / 25 for number in range(len(frames))]
    for expected, picture in zip(frames, frames_at(path, times), strict=True):
        np.testing.assert_array_equal(picture, expected)
