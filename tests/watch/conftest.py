"""Small detectors with seeded weights over what changes between two frames, and videos to show them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from prolepsis import plugins
from prolepsis.action.standardisation import FeatureMoments
from prolepsis.action.training import DETECTORS, build_detector
from prolepsis.training.saved_model import SavedModel
from prolepsis.video.encoders.extraction import Decoding, VideoSteps, extract_features
from prolepsis.video.encoders.motion import FrameDifference
from prolepsis.video.features import FeatureStore, FeatureStream, SourceVideo, write_feature_store
from prolepsis.video.labels import num_steps
from prolepsis.video.media import probe
from prolepsis.watch.model import WatchModel, load_watch_model

RATE = 6.25
CLASS_NAMES = ["background", "wave", "jump", "fall"]
ENCODER: Mapping[str, Any] = {"seconds": 0.1, "cells": 2, "input_size": 16}
DIMENSION = 8
CPU = torch.device("cpu")
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "frame_only": {},
    "rnn": {"cell": "gru", "hidden_size": 8},
    "trn": {"feature_size": 8, "hidden_size": 8, "decoder_steps": 2, "linear_std": 0.5},
    "idn": {"window_steps": 4, "embedding_size": 8, "hidden_size": 8},
    "miniroad": {"embedding_size": 8, "hidden_size": 8, "window_steps": 4},
    "testra": {
        "work_steps": 4,
        "memory_steps": 8,
        "hidden_size": 8,
        "num_heads": 2,
        "feed_forward_size": 8,
        "memory_queries": 2,
        "encoder_queries": 2,
        "anticipation_steps": 2,
    },
    "oadtr": {
        "window_steps": 4,
        "hidden_size": 8,
        "encoder_layers": 1,
        "encoder_heads": 2,
        "decoder_steps": 2,
        "decoder_layers": 1,
        "decoder_heads": 2,
    },
}
DESCRIPTION: Mapping[str, Any] = {
    "encoder": "frame_difference",
    "config": ENCODER,
    "weights_sha256": "",
    "precision": "float32",
    "decoder": "pyav",
    "rate": RATE,
    "dimension": DIMENSION,
    "dtype": "float16",
}

MakeSaved = Callable[..., SavedModel]
MakeModel = Callable[..., WatchModel]


@pytest.fixture(autouse=True)
def in_one_thread(one_thread: None) -> None:
    """Every test here."""


@pytest.fixture
def make_saved() -> MakeSaved:
    """A detector by its plugin's name, as training saves it; `features` changes what it says of them."""

    def make(plugin: str = "rnn", **features: Any) -> SavedModel:
        torch.manual_seed(0)
        config = plugins.configure(DETECTORS, plugin, CONFIGS[plugin])
        moments = FeatureMoments(torch.full((DIMENSION,), 0.01), torch.full((DIMENSION,), 0.05))
        detector = build_detector(
            plugin, config, input_size=DIMENSION, num_classes=len(CLASS_NAMES), moments=moments
        )
        metadata = {
            "plugin": plugin,
            "config": config.model_dump(mode="json"),
            "input_size": DIMENSION,
            "num_classes": len(CLASS_NAMES),
            "class_names": CLASS_NAMES,
            "standardised": True,
            "features": {**DESCRIPTION, **features},
        }
        return SavedModel(dict(detector.state_dict()), metadata)

    return make


@pytest.fixture
def make_model(make_saved: MakeSaved) -> MakeModel:
    def make(plugin: str = "rnn", **features: Any) -> WatchModel:
        return load_watch_model(plugin, make_saved(plugin, **features), CPU)

    return make


def write_film(path: Path, still: list[bool], frames_per_second: int = 25, seed: int = 0) -> Path:
    """Noise that moves in each frame unless it is a still one."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=frames_per_second)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        moved = 0
        for is_still in still:
            moved += 0 if is_still else 4
            picture = np.roll(blocks, moved, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def stored_features(film: Path, folder: Path) -> FeatureStore:
    """As the pipeline feature_extraction stores them, in batches, as float16."""
    encoder = FrameDifference(FrameDifference.Config(**ENCODER))
    total = num_steps(probe(film).duration, RATE)

    def encode(_: Sequence[str]) -> Any:
        return extract_features(
            [VideoSteps("film", film, total)],
            encoder,
            rate=RATE,
            batch_size=7,
            decoding=Decoding(1),
            device=CPU,
            precision=torch.float32,
        )

    videos = [SourceVideo("film", total, "")]
    folder.mkdir()
    write_feature_store(
        folder, FeatureStream("frame_difference", {}, "", "float32", RATE, DIMENSION, videos, encode)
    )
    return FeatureStore.open(folder)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Three seconds and a bit, at a rate that is no multiple of the steps'."""
    return write_film(tmp_path / "film.mp4", [number % 40 < 20 for number in range(97)], 30)
