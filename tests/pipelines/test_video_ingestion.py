import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from prolepsis.errors import ProlepsisError
from prolepsis.files import sha256_file
from prolepsis.pipelines.demo_data.video_nodes import render_demo_videos
from prolepsis.pipelines.demo_data.video_params import DemoVideoParams
from prolepsis.pipelines.video_ingestion.nodes import (
    build_video_manifest,
    measure_videos,
    rasterise_labels,
    read_annotations,
)
from prolepsis.pipelines.video_ingestion.params import VideoIngestionParams
from prolepsis.video.manifest import choose_split
from prolepsis.video.precomputed import Description, split_sessions

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


def parameters(**changes: Any) -> VideoIngestionParams:
    values = {
        "annotations": {"plugin": "csv"},
        "rate": 5.0,
        "rule": "centre",
        "classes": None,
        "ignored_classes": [],
        "unknown_videos": "refuse",
        "duplicates": "refuse",
        "ends_beyond_video": "refuse",
        "overlaps_of_one_class": "refuse",
        "max_bad_share": 0.4,
        "image_folder_rate": 10.0,
        "split_shares": SHARES,
        "val_share": 0.15,
        "seed": 1,
    }
    return VideoIngestionParams.model_validate(values | changes)


def write_video(path: Path, seconds: int = 2, options: dict[str, str] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("mpeg4", rate=Fraction(25, 2))
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        for number in range(round(seconds * 12.5)):
            picture = np.full((32, 48, 3), number % 256, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def raw_videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    write_video(folder / "train" / "day 1" / "kitchen.mp4", seconds=4)
    write_video(folder / "val" / "market.avi")
    write_video(folder / "test" / "Straße.mkv")
    return folder


@pytest.fixture
def raw_annotations(tmp_path: Path) -> Path:
    path = tmp_path / "annotations.csv"
    path.write_text(
        "video,start,end,label\n"
        "day 1/kitchen,0.5,1.5,pour\n"
        "day 1/kitchen,1.0,2.0,stir\n"
        "day 1/kitchen,3.0,3.4,unclear\n"
        "train/day 1/kitchen.mp4,3.4,4.05,pour\n"
        "market,0.0,1.0,stir\n",
        encoding="utf-8",
    )
    return path


def test_the_manifest_says_what_each_video_is(raw_videos: Path) -> None:
    manifest, set_aside = build_video_manifest(raw_videos, parameters())
    assert set_aside.is_empty()
    assert manifest["path"].to_list() == ["test/Straße.mkv", "train/day 1/kitchen.mp4", "val/market.avi"]
    assert manifest["video"].to_list() == ["Straße", "day 1/kitchen", "market"]
    assert manifest["split"].to_list() == ["test", "train", "val"]
    assert manifest["num_frames"].to_list() == [25, 50, 25]
    assert manifest["num_steps"].to_list() == [10, 20, 10]
    kitchen = manifest.row(1, named=True)
    assert kitchen["sha256"] == sha256_file(raw_videos / kitchen["path"])
    assert (kitchen["container"], kitchen["codec"]) == ("mp4", "mpeg4")
    assert (kitchen["width"], kitchen["height"]) == (48, 32)
    assert kitchen["fps"] == pytest.approx(12.5)
    assert kitchen["duration"] == pytest.approx(4.0)
    assert (kitchen["rotation"], kitchen["nominal_fps"], kitchen["problems"]) == (0, 12.5, [])


def test_the_manifest_says_what_is_odd(raw_videos: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    write_video(raw_videos / "test" / "Straße.mkv", options={"live": "1"})
    manifest, set_aside = build_video_manifest(raw_videos, parameters())
    assert set_aside.is_empty()
    assert manifest["problems"].to_list() == [["no duration in the header"], [], []]
    assert "test/Straße.mkv is used, though odd: no duration in the header" in caplog.text


def test_a_bad_video_is_set_aside_and_its_annotations_with_it(
    raw_videos: Path, raw_annotations: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = raw_videos / "val" / "market.avi"
    broken.write_bytes(b"this is no video")
    manifest, set_aside = build_video_manifest(raw_videos, parameters())
    assert manifest["video"].to_list() == ["Straße", "day 1/kitchen"]
    assert set_aside["path"].to_list() == ["val/market.avi"]
    assert set_aside["reason"][0].startswith("It cannot be opened")
    assert "no readable video in the split 'val'" in caplog.text
    instances, names = read_annotations(raw_annotations, manifest, set_aside, parameters())
    assert set(instances["video"]) == {"day 1/kitchen"}
    assert names == ["background", "pour", "stir", "unclear"]
    assert (
        "1 annotations of videos that are not used, beyond their ends, or given twice, are left out"
        in caplog.text
    )
    labels = rasterise_labels(manifest, instances, names, parameters())
    assert measure_videos(manifest, set_aside, instances, labels, names)["set_aside"] == 1


def test_too_many_bad_videos_stop_the_run_with_their_reasons(raw_videos: Path) -> None:
    (raw_videos / "val" / "market.avi").write_bytes(b"this is no video")
    with pytest.raises(ProlepsisError, match=r"1 of 3 videos cannot be read:\n +val/market.avi: It cannot"):
        build_video_manifest(raw_videos, parameters(max_bad_share=0.1))


def write_images(folder: Path, numbers: list[int]) -> None:
    folder.mkdir(parents=True)
    for number in numbers:
        path = str(folder / f"{number}.png")
        with av.open(path, "w", format="image2", options={"update": "1"}) as container:
            stream = container.add_stream("png", rate=1)
            stream.height, stream.width, stream.pix_fmt = 32, 48, "rgb24"
            picture = np.full((32, 48, 3), number, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())


def test_folders_of_images_are_videos_of_the_rate_in_the_parameters(raw_videos: Path) -> None:
    write_images(raw_videos / "test" / "walk", [*range(1, 21)])
    write_images(raw_videos / "train" / "gap", [1, 2, 4])
    manifest, set_aside = build_video_manifest(raw_videos, parameters(image_folder_rate=10.0))
    walk = manifest.row(by_predicate=pl.col("video") == "walk", named=True)
    assert (walk["path"], walk["split"], walk["container"]) == ("test/walk", "test", "images")
    assert (walk["fps"], walk["duration"], walk["num_frames"], walk["num_steps"]) == (10.0, 2.0, 20, 10)
    assert set_aside.rows() == [("train/gap", "The image 3 is missing.")]
    (raw_videos / "test" / "walk" / "3.png").write_bytes(
        (raw_videos / "test" / "walk" / "4.png").read_bytes()
    )
    changed, _ = build_video_manifest(raw_videos, parameters(image_folder_rate=10.0))
    assert changed.row(by_predicate=pl.col("video") == "walk", named=True)["sha256"] != walk["sha256"]


def test_a_link_out_of_the_folder_is_set_aside(raw_videos: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "elsewhere.mp4")
    (raw_videos / "train" / "link.mp4").symlink_to(tmp_path / "elsewhere.mp4")
    manifest, set_aside = build_video_manifest(raw_videos, parameters())
    assert manifest.height == 3
    assert set_aside["path"].to_list() == ["train/link.mp4"]
    assert "symbolic link" in set_aside["reason"][0]


def test_what_is_no_video_is_set_aside_or_counted(raw_videos: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_images(raw_videos / "test" / "walk", [1, 2])
    (raw_videos / "test" / "walk" / "notes.txt").touch()
    (raw_videos / "val" / "market.srt").touch()
    (raw_videos / "val" / "circle.mp4").symlink_to(raw_videos / "val" / "circle.mp4")
    _, set_aside = build_video_manifest(raw_videos, parameters())
    assert set_aside.rows() == [
        ("test/walk", "It is a folder that holds more than .jpeg, .jpg, .png: notes.txt."),
        ("val/circle.mp4", "It is a symbolic link that leads in a circle."),
    ]
    assert "1 files among the videos are none by their suffix, and are passed over: val/market.srt" in (
        caplog.text
    )


def test_images_straight_in_a_split_folder_are_refused(raw_videos: Path) -> None:
    (raw_videos / "train" / "day 1" / "kitchen.mp4").unlink()
    (raw_videos / "train" / "day 1").rmdir()
    (raw_videos / "train").rmdir()
    write_images(raw_videos / "train", [1, 2])
    with pytest.raises(ProlepsisError, match="Images lie straight in the folder 'train'"):
        build_video_manifest(raw_videos, parameters())


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProlepsisError, match="no videos") as caught:
        build_video_manifest(tmp_path, parameters())
    assert ".mp4" in str(caught.value.remedy)


def test_two_videos_of_one_name_are_an_error(raw_videos: Path) -> None:
    write_video(raw_videos / "test" / "market.mp4")
    with pytest.raises(ProlepsisError, match=r"test/market.mp4 and val/market.avi .* video 'market'"):
        build_video_manifest(raw_videos, parameters())


@given(st.text(st.characters(exclude_characters="/.\0", exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_a_video_keeps_its_split_whatever_its_suffix(name: str) -> None:
    assert choose_split(f"{name}.mp4", SHARES) == choose_split(f"{name}.mkv", SHARES)
    assert choose_split(f"val/{name}.mp4", SHARES) == "val"


def test_videos_without_a_split_folder_are_shared_out_by_their_names() -> None:
    splits = [choose_split(f"camera 2/{number}.mp4", SHARES) for number in range(2000)]
    for split, share in SHARES.items():
        assert splits.count(split) / 2000 == pytest.approx(share, abs=0.03)


def test_labels_follow_from_the_annotations(raw_videos: Path, raw_annotations: Path) -> None:
    params = parameters(ignored_classes=["unclear"])
    manifest, set_aside = build_video_manifest(raw_videos, params)
    instances, names = read_annotations(raw_annotations, manifest, set_aside, params)
    assert names == ["background", "pour", "stir"]
    assert dict(instances.group_by("label").agg(pl.col("class_index").first()).iter_rows()) == {
        "pour": 1,
        "stir": 2,
        "unclear": -1,
    }
    labels = rasterise_labels(manifest, instances, names, params)
    assert labels.schema["labels"] == pl.List(pl.UInt8)
    kitchen = labels.filter(pl.col("video") == "day 1/kitchen")
    assert kitchen["step"].to_list() == list(range(20))
    assert kitchen["time"].to_list() == pytest.approx([0.1 + 0.2 * step for step in range(20)])
    columns = np.array(kitchen["labels"].to_list())
    np.testing.assert_array_equal(np.flatnonzero(columns[:, 1]), [2, 3, 4, 5, 6, 17, 18, 19])
    np.testing.assert_array_equal(np.flatnonzero(columns[:, 2]), [5, 6, 7, 8, 9])
    np.testing.assert_array_equal(np.flatnonzero(kitchen["ignore"]), [15, 16])
    silent = labels.filter(pl.col("video") == "Straße")
    assert silent["labels"].to_list() == [[1, 0, 0]] * 10

    metrics = measure_videos(manifest, set_aside, instances, labels, names)
    assert metrics["splits"]["train"] == {
        "videos": 1,
        "seconds": 4.0,
        "steps": 20,
        "ignored_steps": 2,
        "background_share": 0.45,
        "instances": {"pour": 2, "stir": 1},
    }


def test_given_classes_fix_the_order_and_what_is_allowed(raw_videos: Path, raw_annotations: Path) -> None:
    manifest, set_aside = build_video_manifest(raw_videos, parameters())
    params = parameters(classes=["stir", "cut", "pour"], ignored_classes=["unclear"])
    _, names = read_annotations(raw_annotations, manifest, set_aside, params)
    assert names == ["background", "stir", "cut", "pour"]
    params = parameters(classes=["stir", "poor"], ignored_classes=["unclear"])
    with pytest.raises(ProlepsisError, match="no class 'pour'; did you mean 'poor'"):
        read_annotations(raw_annotations, manifest, set_aside, params)


def test_a_file_without_one_action_is_an_error(raw_videos: Path, tmp_path: Path) -> None:
    manifest, set_aside = build_video_manifest(raw_videos, parameters())
    path = tmp_path / "empty.csv"
    path.write_text("video,start,end,label\n")
    with pytest.raises(ProlepsisError, match="Not one action"):
        read_annotations(path, manifest, set_aside, parameters())


def test_an_empty_annotation_file_gets_as_far_as_its_reader(project: Any) -> None:
    path = project.path / "data" / "test" / "01_raw" / "annotations.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    loaded = project.catalog().load("raw_annotations")  # else the message of its suite, without the path
    assert loaded.resolve() == path.resolve()


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": 0},
        {"rate": float("inf")},
        {"rate": 1_000_000},
        {"image_folder_rate": float("inf")},
        {"rule": "guess"},
        {"max_bad_share": 2},
        {"image_folder_rate": 0},
        {"split_shares": {"train": 0.7, "val": 0.7, "test": 0.0}},
        {"frames": 3},
        {"val_share": 0},
        {"classes": ["wave", "unclear"], "ignored_classes": ["unclear"]},
        {"classes": ["wave", "wave"]},
        {"classes": ["background", "wave"]},
        {"ignored_classes": ["background"]},
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        parameters(**wrong)


def test_an_unknown_reader_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ProlepsisError, match="activitynet_jsom") as caught:
        parameters(annotations={"plugin": "activitynet_jsom"})
    assert "activitynet_json" in str(caught.value.remedy)


def test_real_recordings_are_ingested_and_the_damaged_one_is_set_aside(
    shared_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    manifest, set_aside = build_video_manifest(shared_data / "videos", parameters())
    there = {path.name for path in (shared_data / "videos").iterdir()}
    assert set(manifest["path"]) == there - {"corrupted.mp4"}
    assert set_aside["path"].to_list() == ["corrupted.mp4"]
    assert set(manifest["container"]) == {"avi", "matroska", "mp4"}
    assert set(manifest["codec"]) == {"h264", "mpeg4"}
    assert manifest["width"].is_between(320, 480).all()
    assert manifest["height"].is_between(240, 360).all()
    assert manifest["rotation"].to_list() == [0] * manifest.height
    assert manifest["fps"].is_between(9.9, 31).all()
    assert (manifest["fps"] - manifest["nominal_fps"]).abs().max() < 0.01
    assert manifest["duration"].is_between(5, 40).all()
    assert (manifest["num_frames"] / manifest["duration"] - manifest["fps"]).abs().max() < 1e-6
    assert manifest["problems"].list.len().sum() == 0
    assert "corrupted.mp4 is set aside: It cannot be decoded beyond 2.7" in caplog.text


def test_the_demonstration_goes_through_kedro_and_comes_back_counted(project: Any) -> None:
    pytest.importorskip("pybullet", reason="the demonstration videos need the extra 'demo'")
    project.run("demo_data", namespaces=["demo_video"])
    project.run("video_ingestion")
    catalog = project.catalog()
    planted, found = catalog.load("demo_video_manifest"), catalog.load("video_metrics")
    assert found["set_aside"] == 0
    for split, counted in planted["splits"].items():
        assert counted["instances"] == found["splits"][split]["instances"]
        assert min(counted["instances"].values()) >= 1
        assert counted["seconds"] == pytest.approx(found["splits"][split]["seconds"], abs=0.1)
    labels = catalog.load("frame_labels")
    manifest = catalog.load("video_manifest")
    assert labels.height == manifest["num_steps"].sum()
    assert catalog.load("class_names") == ["background", "jump", "punch", "roll"]


def test_the_demo_node_yields_videos_as_they_are_done() -> None:
    params = DemoVideoParams(
        train=1, val=1, test=1, actions=("jump",), shortest=5.0, longest=5.0, size=32, two_people_share=0.0
    )
    videos, annotations, manifest = render_demo_videos(params)
    assert annotations.startswith(b"video,start,end,label\ntrain_000,")
    assert {split: counted["videos"] for split, counted in manifest["splits"].items()} == {
        "train": 1,
        "val": 1,
        "test": 1,
    }
    name, content = next(videos)
    assert name == "train/train_000.mp4"
    assert content[4:8] == b"ftyp"
    videos.close()


def test_an_ignored_class_that_never_occurs_stops_the_run_or_is_told(
    raw_videos: Path, raw_annotations: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest, set_aside = build_video_manifest(raw_videos, parameters())
    slip = parameters(ignored_classes=["uncler"])
    with pytest.raises(ProlepsisError, match="ignored class 'uncler'; did you mean 'unclear'") as caught:
        read_annotations(raw_annotations, manifest, set_aside, slip)
    assert caught.value.where == raw_annotations
    # Where the classes are given, as for a public data set, nothing can be learnt by a slip.
    given_classes = parameters(classes=["pour", "stir"], ignored_classes=["unclear", "Ambiguous"])
    _, names = read_annotations(raw_annotations, manifest, set_aside, given_classes)
    assert names == ["background", "pour", "stir"]
    assert "no annotation has the ignored class Ambiguous" in caplog.text


def test_given_classes_without_one_action_are_an_error_that_counts_what_is_left_out(
    raw_videos: Path, tmp_path: Path
) -> None:
    manifest, set_aside = build_video_manifest(raw_videos, parameters())
    path = tmp_path / "elsewhere.csv"
    path.write_text("video,start,end,label\nfar,0,1,stir\n")
    params = parameters(classes=["stir"], unknown_videos="leave_out")
    with pytest.raises(ProlepsisError, match="Not one action is annotated. Of 1 annotations, 1 are left out"):
        read_annotations(path, manifest, set_aside, params)


def test_actions_too_short_to_label_a_step_are_told_and_counted(
    raw_videos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest, set_aside = build_video_manifest(raw_videos, parameters())
    path = tmp_path / "short.csv"
    path.write_text(
        "video,start,end,label\n"
        "market,0.0,1.0,stir\n"
        "market,1.02,1.08,blink\n"  # the centres are at 0.9 and 1.1 s
        "market,1.12,1.18,unclear\n"
    )
    params = parameters(ignored_classes=["unclear"])
    instances, names = read_annotations(path, manifest, set_aside, params)
    assert instances.select("label", "num_steps").rows() == [("stir", 5), ("blink", 0), ("unclear", 0)]
    assert "1 of 3 actions label no step at 5 steps a second by the rule 'centre'" in caplog.text
    assert "blink at 1.02 s of market" in caplog.text
    labels = rasterise_labels(manifest, instances, names, params)
    assert measure_videos(manifest, set_aside, instances, labels, names)["actions_without_step"] == 1


def test_annotations_of_another_rate_than_was_said_are_noticed(
    raw_videos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest, set_aside = build_video_manifest(raw_videos, parameters())
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "market.txt").write_text("SIL\n" * 20 + "stir\n" * 5)
    for rate, noticed in ((12.5, False), (25.0, True)):
        caplog.clear()
        params = parameters(annotations={"plugin": "per_frame_text", "config": {"frames_per_second": rate}})
        read_annotations(folder, manifest, set_aside, params)
        assert ("market lasts 2.00 s, and is annotated for 1.00 s" in caplog.text) == noticed


def test_a_share_of_train_is_val_where_there_is_no_folder_val(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    names = [f"clip.{number}" for number in range(10)]
    for name in names:
        write_video(folder / "train" / f"{name}.mp4", seconds=1)
    write_video(folder / "test" / "late.mp4", seconds=1)
    params = parameters(val_share=0.2, seed=7)
    manifest, _ = build_video_manifest(folder, params)
    splits = dict(manifest.select("video", "split").iter_rows())
    # The videos that the features of others would have in val.
    assert splits == split_sessions(Description((), tuple(names), ("late",)), 0.2, 7)
    assert list(splits.values()).count("val") == 2
    write_video(folder / "val" / "given.mp4", seconds=1)
    manifest, _ = build_video_manifest(folder, params)
    assert manifest.filter(split="val")["video"].to_list() == ["given"]


def test_names_with_points_are_ids_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    write_video(folder / "train" / "clip.mp4", seconds=1)
    write_video(folder / "train" / "clip.2.mp4", seconds=1)
    write_images(folder / "test" / "walk.v2", [*range(1, 21)])
    manifest, _ = build_video_manifest(folder, parameters())
    assert sorted(manifest["video"]) == ["clip", "clip.2", "walk.v2"]
