"""Frames to train on that no video needs to be decoded for."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prolepsis.files import write_json
from prolepsis.video.frame_images import FrameImages

MakeImages = Callable[[Mapping[str, tuple[str, int]]], FrameImages]


@pytest.fixture
def make_images(tmp_path: Path) -> MakeImages:
    """Frames of 24 pixels, at four a second, of videos given as split and number of frames.

    A frame is a few coarse patches in colours of its own, which drift through a video.
    """

    def make(videos: Mapping[str, tuple[str, int]]) -> FrameImages:
        random = np.random.default_rng(0)
        frames, rows, offset = [], [], 0
        for video, (split, steps) in videos.items():
            start, end = random.integers(0, 256, (2, 4, 4, 3))
            for share in np.linspace(0.0, 1.0, steps):
                patches = start + share * (end - start)
                frames.append(patches.astype(np.uint8).repeat(6, 0).repeat(6, 1))
            rows.append((video, split, offset, steps, "0" * 64, 0, 255, 128.0))
            offset += steps
        directory = tmp_path / "frame_images"
        directory.mkdir()
        np.save(directory / "frames.npy", np.stack(frames))
        columns = (
            "video",
            "split",
            "offset",
            "num_steps",
            "source_sha256",
            "minimum",
            "maximum",
            "mean",
        )
        types = {"offset": pl.Int64, "num_steps": pl.Int32, "minimum": pl.Int32, "maximum": pl.Int32}
        index = pl.DataFrame(rows, schema=columns, schema_overrides=types, orient="row")
        index.write_parquet(directory / "index.parquet")
        size = (directory / "frames.npy").stat().st_size
        meta = {"format": 1, "rate": 4.0, "size": 24, "num_bytes": size, "hash": "made up"}
        write_json(directory / "meta.json", meta)
        return FrameImages.open(directory)

    return make
