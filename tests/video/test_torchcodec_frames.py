import json
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
import torch

from prolepsis.errors import ProlepsisError
from prolepsis.video.torchcodec_frames import resolve_decoder

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
PROGRAM = Path(__file__).with_name("torchcodec_program.py")


@pytest.fixture(scope="session")
def library_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where a process finds FFmpeg's libraries, those that PyAV brings, under their usual names."""
    pytest.importorskip("torchcodec")
    bundled = Path(av.__file__).parent.parent / "av.libs"
    if not bundled.is_dir():
        pytest.skip("this PyAV does not bring FFmpeg as shared libraries of Linux")
    folder = tmp_path_factory.mktemp("ffmpeg")
    for library in bundled.iterdir():
        if match := re.fullmatch(r"(lib(?:av|sw)[a-z]+)-\w+\.so\.(\d+)\..*", library.name):
            (folder / f"{match[1]}.so.{match[2]}").symlink_to(library)
    return f"{folder}:{bundled}"


def write(
    path: Path,
    milliseconds: list[int],
    rotation: int = 0,
    options: dict[str, str] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
) -> Path:
    """Pictures whose quarters differ and whose colours change with their number, at these times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width, stream.pix_fmt = 48, 64, pixels
        # AVI knows no time but frames at its rate.
        unit = 40 if path.suffix == ".avi" else 1
        stream.codec_context.time_base = Fraction(unit, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        for number, time in enumerate(milliseconds):
            picture = np.full((48, 64, 3), 20 + 7 * number, dtype=np.uint8)
            picture[:24, :32, 0], picture[24:, 32:, 2] = 200, 90
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time // unit, stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_torchcodec_shows_the_frames_that_pyav_shows(tmp_path: Path, library_path: str) -> None:
    steady = [40 * number for number in range(30)]
    b_frames = {"bf": "3", "preset": "veryslow"}
    uneven = [0, 40, 200, 220, 600, 640, 900]
    images = tmp_path / "images"
    images.mkdir()
    for number in range(30):
        with av.open(str(images / f"{number:03}.png"), "w", format="image2") as container:
            stream = container.add_stream("png", rate=1)
            stream.height, stream.width, stream.pix_fmt = 48, 64, "rgb24"
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 8 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
    videos = [
        write(tmp_path / "steady.mp4", steady),
        write(tmp_path / "uneven.mkv", uneven),
        write(tmp_path / "late.mkv", [5000 + time for time in steady]),
        write(tmp_path / "b_frames.mp4", steady, options=b_frames),
        write(tmp_path / "decoding_times.avi", steady, options=b_frames),
        write(tmp_path / "turned.mp4", steady, rotation=90),
        write(tmp_path / "ten_bit.mp4", steady, pixels="yuv420p10le"),
        write(tmp_path / "vp9.webm", steady, codec="libvpx-vp9"),
        images,
    ]
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), *map(str, videos)],
        env=os.environ | {"LD_LIBRARY_PATH": library_path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answer: dict[str, Any] = json.loads(ran.stdout)
    assert answer["decoder"] == "torchcodec"
    assert set(answer["videos"]) == {video.name for video in videos}
    for name, found in answer["videos"].items():
        assert len(found["differences"]) == found["steps"] > 8
        # Of ten bits, colour is spread over neighbouring pixels in another way.
        assert max(found["differences"]) <= (2.0 if name == "ten_bit.mp4" else 0.0), name
        by_torchcodec, by_pyav = np.array(found["torchcodec"]), np.array(found["pyav"])
        assert by_torchcodec.shape == by_pyav.shape == (found["steps"], 30)
        # A frame before or after is 7 away.
        assert np.abs(by_torchcodec - by_pyav).max() <= 3, name
    assert answer["videos"]["turned.mp4"]["size"] == [64, 48]


def fake_torchcodec(monkeypatch: pytest.MonkeyPatch, ffmpeg: int | None) -> None:
    module = ModuleType("torchcodec")
    module.ffmpeg_major_version = ffmpeg  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchcodec", module)


def test_auto_is_torchcodec_on_a_gpu_where_it_works(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake_torchcodec(monkeypatch, ffmpeg=8)
    assert resolve_decoder("auto", CUDA) == "torchcodec"
    assert resolve_decoder("auto", CPU) == "pyav"
    assert resolve_decoder("pyav", CUDA) == "pyav"
    assert resolve_decoder("torchcodec", CPU) == "torchcodec"
    fake_torchcodec(monkeypatch, ffmpeg=None)
    with caplog.at_level("INFO"):
        assert resolve_decoder("auto", CUDA) == "pyav"
    assert "Videos are decoded by PyAV, on the CPU: it finds no FFmpeg" in caplog.text


@pytest.mark.parametrize("installed", [True, False])
def test_torchcodec_asked_for_by_name_must_work(monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    if installed:
        fake_torchcodec(monkeypatch, ffmpeg=None)
    else:
        monkeypatch.setitem(sys.modules, "torchcodec", None)
    reason = "it finds no FFmpeg" if installed else "it is not installed"
    with pytest.raises(ProlepsisError, match=f"cannot be decoded by torchcodec: {reason}") as caught:
        resolve_decoder("torchcodec", CPU)
    assert caught.value.where == "feature_extraction.decoder"
    assert caught.value.remedy is not None
    assert "decoder: pyav" in caught.value.remedy
