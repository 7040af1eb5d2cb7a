"""From a folder of public features to trained detectors, as a user runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from prolepsis.pipelines.precomputed_features.nodes import import_features
from prolepsis.pipelines.precomputed_features.params import PrecomputedFeaturesParams
from prolepsis.pipelines.video_ingestion.params import VideoIngestionParams

from support import ROOT

CLASSES = ("Background", "Run", "Jump", "Ambiguous")


def write_layout(folder: Path) -> None:
    """Nine videos whose features tell their labels; one stream is a step longer than the other."""
    random = np.random.default_rng(0)
    train, test = [f"train_{number}" for number in range(6)], [f"test_{number}" for number in range(3)]
    for video in train + test:
        numbers = np.repeat(random.integers(0, 4, 8), 5)
        targets = np.eye(4)[numbers]
        for part, array in {
            "rgb": targets @ random.normal(size=(4, 6)),
            "flow": np.vstack([targets, targets[-1:]]),
            "labels": targets,
        }.items():
            (folder / part).mkdir(parents=True, exist_ok=True)
            np.save(folder / part / f"{video}.npy", array.astype(np.float32))
    info = {"class_names": CLASSES, "train_session_set": train, "test_session_set": test}
    (folder / "data_info.json").write_text(json.dumps({"DEMO": info}))


def test_features_of_others_train_a_detector_at_once(project) -> None:
    write_layout(project.path / "data/test/01_raw/precomputed")
    parameters = {"streams": ["rgb", "flow"], "targets": "labels", "ignored_classes": ["Ambiguous"]}
    project.run("precomputed_features", params={"precomputed_features": parameters})
    store, labels = project.load("frame_features"), project.load("frame_labels")
    assert project.load("class_names") == ["background", "Run", "Jump"]
    assert (store.encoder, store.dimension, len(store)) == ("precomputed", 10, 9)
    assert {video: len(rows) for video, rows in store.items()} == dict.fromkeys(store, 40)
    assert labels.group_by("split").len().sort("split").rows() == [("test", 120), ("train", 200), ("val", 40)]
    metrics = project.load("precomputed_metrics")
    assert metrics["splits"]["test"]["videos"] == 3
    project.run("action_detection", namespaces=["frame_only"])
    scores = project.load("frame_only.scores").collect()
    assert scores["video"].n_unique() == 4


def test_a_background_under_another_name_is_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_layout(tmp_path)
    info = json.loads((tmp_path / "data_info.json").read_text())
    info["DEMO"]["class_names"][0] = "NoAction"
    (tmp_path / "data_info.json").write_text(json.dumps(info))
    values = yaml.safe_load((ROOT / "conf/base/parameters/precomputed_features.yml").read_text())
    values = values["precomputed_features"] | {
        "streams": ["rgb"],
        "targets": "labels",
        "seed": 0,
        "rate": 4.0,
    }
    _, _, names = import_features(tmp_path, PrecomputedFeaturesParams.model_validate(values))
    assert names == ["background", "NoAction", "Run", "Jump", "Ambiguous"]
    assert "not one step is background" in caplog.text
    caplog.clear()
    values |= {"background": "NoAction"}
    _, labels, names = import_features(tmp_path, PrecomputedFeaturesParams.model_validate(values))
    assert names == ["background", "Run", "Jump", "Ambiguous"]
    assert labels["labels"].list.first().sum() > 0
    assert "background" not in caplog.text


@pytest.mark.parametrize(
    ("env", "train", "test", "columns"),
    [("thumos14", 200, 213, 22), ("tvseries", 20, 7, 31), ("hdd", 100, 36, 12)],
)
def test_the_environments_of_public_datasets_hold_their_lists(
    env: str, train: int, test: int, columns: int
) -> None:
    def read(name: str) -> dict:
        return yaml.safe_load((ROOT / "conf" / env / "parameters" / f"{name}.yml").read_text())[name]

    base = yaml.safe_load((ROOT / "conf/base/parameters/precomputed_features.yml").read_text())
    values = base["precomputed_features"] | read("precomputed_features") | {"seed": 0, "rate": 4.0}
    parameters = PrecomputedFeaturesParams.model_validate(values)
    assert parameters.sessions is not None
    assert (len(set(parameters.sessions.train)), len(set(parameters.sessions.test))) == (train, test)
    assert len(set(parameters.classes or ())) == columns
    own = read("video_ingestion")
    ingestion = yaml.safe_load((ROOT / "conf/base/parameters/video_ingestion.yml").read_text())
    VideoIngestionParams.model_validate(ingestion["video_ingestion"] | own | {"rate": 4.0, "seed": 1})
    assert ["Background", *own["classes"], *own["ignored_classes"]] == [
        name.replace("background", "Background") for name in parameters.classes or ()
    ]
