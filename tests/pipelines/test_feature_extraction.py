"""The pipeline from videos to a feature store, as a user runs it."""

import av
import numpy as np
import pytest
from pydantic import ValidationError

from prolepsis.errors import ProlepsisError
from prolepsis.pipelines.feature_extraction.params import FeatureExtractionParams
from prolepsis.video.rates import check_rate

from support import manifest, write_video


def test_videos_become_a_store_with_a_row_per_step(project) -> None:
    lengths = {"train/walk": 13, "val/jump": 6, "test/spin": 8}
    for number, (name, frames) in enumerate(lengths.items()):
        write_video(project.path / "data/test/01_raw/videos" / f"{name}.mp4", frames, number)
    rows = [(name.split("/")[1], name.split("/")[0], f"{name}.mp4", n) for name, n in lengths.items()]
    project.save("video_manifest", manifest(rows, project.path / "data/test/01_raw/videos"))
    project.run("feature_extraction")
    store = project.load("frame_features")
    assert {video: features.shape for video, features in store.items()} == {
        "walk": (6, 1280),
        "jump": (3, 1280),
        "spin": (4, 1280),
    }
    assert store.encoder == "efficientnet_lite0"
    assert store.rate == 6.25
    assert (store["walk"].max(axis=1) > 0).all()
    metrics = project.load("feature_metrics")
    assert (metrics["videos"], metrics["steps"], metrics["dimension"]) == (3, 13, 1280)
    assert metrics["frames_per_second"] > 0
    assert project.catalog().load("frame_features").hash == store.hash


def test_a_folder_of_images_is_encoded_at_the_rate_in_the_manifest(project) -> None:
    folder = project.path / "data/test/01_raw/videos/train/walk"
    folder.mkdir(parents=True)
    for number in range(10):
        picture = np.full((32, 32, 3), 20 * number, dtype=np.uint8)
        with av.open(
            str(folder / f"{number}.png"), "w", format="image2", options={"update": "1"}
        ) as container:
            stream = container.add_stream("png", rate=1)
            stream.width = stream.height = 32
            stream.pix_fmt = "rgb24"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
    rows = [("walk", "train", "train/walk", 10)]
    project.save("video_manifest", manifest(rows, folder.parent.parent))
    project.run("feature_extraction")
    features = project.load("frame_features")["walk"]
    # 12.5 images and 6.25 steps a second: each step shows another image.
    assert features.shape == (5, 1280)
    assert len(np.unique(features, axis=0)) == 5


def test_a_missing_video_stops_the_run_and_leaves_nothing_behind(project) -> None:
    project.save("raw_videos", [("train/other.mp4", b"no video")])
    project.save("video_manifest", manifest([("walk", "train", "train/walk.mp4", 10)]))
    with pytest.raises(Exception, match="no such file"):
        project.run("feature_extraction")
    folder = project.path / "data/test/04_feature"
    assert not folder.exists() or list(folder.iterdir()) == []


def test_a_video_that_was_replaced_since_its_ingestion_is_refused(project) -> None:
    videos = project.path / "data/test/01_raw/videos"
    write_video(videos / "train/walk.mp4", 13, 0)
    project.save("video_manifest", manifest([("walk", "train", "train/walk.mp4", 13)], videos))
    write_video(videos / "train/walk.mp4", 13, 1)
    with pytest.raises(Exception, match=r"not the one that was ingested(.|\n)*where: .*walk.mp4"):
        project.run("feature_extraction")


def test_a_manifest_of_another_rate_is_refused() -> None:
    videos = manifest([("walk", "train", "train/walk.mp4", 100)])
    check_rate(videos, 6.25)
    with pytest.raises(ProlepsisError, match=r"50 steps for 8.00 s, which is not 25.0 a second") as error:
        check_rate(videos, 25.0)
    assert "feature_rate" in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": {"plugin": "efficientnet_lite9"}}, "no plugin 'efficientnet_lite9'"),
        ({"encoder": {"plugin": "efficientnet_lite0", "config": {"depth": 3}}}, "depth"),
        ({"batch_size": 0}, "batch_size"),
        ({"rate": float("inf")}, "rate"),
        ({"rate": 1_000_000}, "rate"),
        ({"threads": 2}, "threads"),
    ],
)
def test_wrong_parameters_are_named(change: dict, message: str) -> None:
    parameters = {
        "encoder": {"plugin": "efficientnet_lite0"},
        "rate": 6.25,
        "batch_size": 4,
        "decoder": "auto",
        "decoder_threads": 1,
        "device": "cpu",
        "precision": "auto",
        "compile": False,
        "dtype": "float16",
    }
    FeatureExtractionParams.model_validate(parameters)
    with pytest.raises((ValidationError, ProlepsisError), match=message):
        FeatureExtractionParams.model_validate(parameters | change)
