"""From videos to an encoder of one's own, as a user runs it."""

import numpy as np
import polars as pl
import pytest
import yaml
from PIL import Image
from pydantic import ValidationError

from prolepsis.pipelines.moco_pretraining.params import MocoPretrainingParams

from support import ROOT, manifest, write_video

LENGTHS = {"train/walk": 66, "train/jump": 54, "val/spin": 30, "test/roll": 24}
GLOBALS = {"seed": 20, "device": "cpu", "checkpoint_directory": "checkpoints"}


def fill(project) -> None:
    """Four videos with a manifest, and labels of two actions; a step of each video does not count."""
    rows, labels = [], []
    for number, (name, frames) in enumerate(LENGTHS.items()):
        split, video = name.split("/")
        write_video(project.path / "data/test/01_raw/videos" / f"{name}.mp4", frames, number)
        rows.append((video, split, f"{name}.mp4", frames))
        for step in range(frames // 2):
            acting = step % 6 // 2
            one_hot = [int(acting == column) for column in range(3)]
            labels.append((video, split, step, (step + 0.5) / 6.25, one_hot, step == 0, "centre"))
    project.save("video_manifest", manifest(rows, project.path / "data/test/01_raw/videos"))
    schema = {
        "video": pl.String,
        "split": pl.String,
        "step": pl.Int32,
        "time": pl.Float64,
        "labels": pl.List(pl.UInt8),
        "ignore": pl.Boolean,
        "rule": pl.String,
    }
    project.save("frame_labels", pl.DataFrame(labels, schema=schema, orient="row"))


def test_an_encoder_is_pretrained_measured_and_used(project) -> None:
    fill(project)
    project.run("moco_pretraining")
    images = project.load("frame_images")
    assert {video: len(frames) for video, frames in images.items()} == {
        name.split("/")[1]: frames // 2 for name, frames in LENGTHS.items()
    }
    metrics = project.load("moco_metrics")
    assert metrics["frames"] == {"train": 58, "val": 14, "test": 11}
    for probe in ("knn", "linear"):
        assert metrics[probe].keys() == {"val", "test"}
        for figures in metrics[probe].values():
            assert figures.keys() == {"untrained", "trained"}
            for network in figures.values():
                assert 0 < network["mean_average_precision"] <= 1
                assert 0 < network["calibrated_mean_average_precision"] <= 1
    # Of steps 1 to 14 of val five have the first action and four the second.
    assert metrics["chance"]["val"] == pytest.approx((5 / 14 + 4 / 14) / 2, abs=0.04)
    curves = project.load("moco_curves")
    assert [row["epoch"] for row in curves] == [1, 2]
    assert min(row["validation_loss"] for row in curves) == metrics["validation"]["validation_loss"]
    picture = project.path / "data/test/08_reporting/moco_pretraining/moco.png"
    assert Image.open(picture).size[0] > 500

    project.run(
        "feature_extraction",
        params={
            "feature_extraction": {
                "encoder": {"plugin": "moco", "config": {"path": "data/test/06_models/moco"}}
            }
        },
    )
    features = project.load("frame_features")
    assert (features.encoder, features.dimension) == ("moco", 1024)
    assert {video: len(rows) for video, rows in features.items()} == {
        video: len(frames) for video, frames in images.items()
    }
    assert np.isfinite(features["walk"]).all()
    assert len(np.unique(features["walk"], axis=0)) > 20


def test_a_split_without_labels_is_told_with_how_to_leave_the_evaluation_out(project) -> None:
    fill(project)
    labels = project.load("frame_labels")
    project.save("frame_labels", labels.filter(pl.col("split") != "val"))
    with pytest.raises(Exception, match=r"no labelled frame in the split 'val'"):
        project.run("moco_pretraining")
    assert project.load("moco_model").metadata["method"] == "moco"


def parameters(env: str) -> dict:
    def read(name: str) -> dict:
        path = ROOT / "conf" / name / "parameters/moco_pretraining.yml"
        return yaml.safe_load(path.read_text())["moco_pretraining"]

    base, own = read("base"), read(env)
    merged = {
        key: {**value, **own.get(key, {})} if isinstance(value, dict) else own.get(key, value)
        for key, value in base.items()
    }
    merged["frames"] |= {"rate": 6.25}
    merged["training"] |= GLOBALS
    return merged


def test_the_recipe_for_a_gpu_is_the_papers() -> None:
    recipe = MocoPretrainingParams.model_validate(parameters("cuda"))
    model, training = recipe.model, recipe.training
    assert (model.backbone, model.image_size, model.dimension) == ("resnet50", 224, 128)
    assert (model.queue_size, model.momentum, model.temperature) == (65_536, 0.999, 0.2)
    assert (model.batch_norm_splits, model.positive_seconds) == (8, 0.0)
    augmentation = model.augmentation
    assert (augmentation.crop_scale, augmentation.blur_sigma) == ((0.2, 1.0), (0.1, 2.0))
    assert (training.epochs, training.batch_size, training.schedule.name) == (200, 256, "cosine")
    optimizer = training.optimizer
    assert (optimizer.name, optimizer.learning_rate) == ("sgd", 0.03)
    assert (optimizer.momentum, optimizer.weight_decay) == (0.9, 1e-4)
    assert not optimizer.exclude_norm_and_bias
    assert training.gradient_clip_norm is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": {"batch_size": 63}}, "63 is not 2 equal groups"),
        ({"training": {"batch_size": 2}}, "2 is not 2 equal groups of two or more"),
        ({"model": {"queue_size": 32}}, "64 is more than model.queue_size 32"),
        ({"model": {"positive_seconds": -1.0}}, "positive_seconds"),
        ({"training": {"accumulation_steps": 2}}, "several small batches"),
        ({"evaluation": {"inverse_penalties": []}}, "inverse_penalties"),
        ({"queue": 5}, "queue"),
    ],
)
def test_wrong_parameters_are_named(change: dict, message: str) -> None:
    values = parameters("base")
    for key, value in change.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) else value
    with pytest.raises(ValidationError, match=message):
        MocoPretrainingParams.model_validate(values)
