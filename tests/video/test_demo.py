import builtins
import csv
import io
import json
import runpy
from collections import Counter
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prolepsis.errors import ProlepsisError
from prolepsis.video.demo import (
    DemoVideo,
    DemoVideoConfig,
    count_instances,
    motion,
    plan_videos,
    render,
    render_frames,
    render_video,
    render_videos,
    write_annotations,
)
from prolepsis.video.media import frames_at, probe

pytest.importorskip("pybullet", reason="the demonstration videos need the extra 'demo'")

SMALL = DemoVideoConfig(
    seed=3, train=2, val=1, test=1, actions=("jump", "punch"), shortest=6.0, longest=6.5, size=48
)


@pytest.fixture(scope="module")
def config() -> DemoVideoConfig:
    return DemoVideoConfig(seed=20)


@pytest.fixture(scope="module")
def videos(config: DemoVideoConfig) -> list[DemoVideo]:
    return plan_videos(config)


def test_the_defaults_make_enough_untrimmed_videos(config: DemoVideoConfig, videos: list[DemoVideo]) -> None:
    assert Counter(video.split for video in videos) == {"train": 24, "val": 6, "test": 10}
    assert len({video.identifier for video in videos}) == len(videos)
    for video in videos:
        assert 15.0 <= video.num_frames / config.frames_per_second <= 30.0
    assert {len(video.people) for video in videos} == {1, 2}


def test_every_split_has_every_action_about_equally_often(
    config: DemoVideoConfig, videos: list[DemoVideo]
) -> None:
    assert len(config.actions) >= 8
    for counted in count_instances(videos, config)["splits"].values():
        instances = counted["instances"]
        assert set(instances) == set(config.actions)
        assert min(instances.values()) >= 2
        assert max(instances.values()) - min(instances.values()) <= 2


def test_actions_lie_inside_their_video_and_leave_time_for_background(
    config: DemoVideoConfig, videos: list[DemoVideo]
) -> None:
    for video in videos:
        duration = video.num_frames / config.frames_per_second
        for instance in video.instances:
            assert 0.0 < instance.start < instance.end < duration
        if len(video.people) == 1:
            for earlier, later in pairwise(video.instances):
                assert earlier.end < later.start
            acted = sum(instance.end - instance.start for instance in video.instances)
            assert 0.2 * duration < acted < 0.85 * duration


def test_two_people_act_at_the_same_time_somewhere(videos: list[DemoVideo]) -> None:
    assert any(earlier.end > later.start for video in videos for earlier, later in pairwise(video.instances))


def test_two_people_stay_near_each_other(videos: list[DemoVideo]) -> None:
    for video in videos:
        if len(video.people) == 2:
            first, second = (person.motion.position[:, [0, 2]] for person in video.people)
            apart = np.linalg.norm(first - second, axis=1)
            assert np.median(apart) < 3.5
            assert apart.max() < 8.0


def test_nobody_jumps_from_place_to_place(config: DemoVideoConfig, videos: list[DemoVideo]) -> None:
    fastest = 5.5 / config.frames_per_second  # metres between frames: a fast run
    for video in videos:
        for person in video.people:
            assert len(person.motion) == video.num_frames
            steps = np.linalg.norm(np.diff(person.motion.position, axis=0), axis=1)
            assert steps.max() < fastest
            np.testing.assert_allclose(np.linalg.norm(person.motion.rotations, axis=-1), 1.0, atol=1e-9)


def test_the_same_seed_gives_the_same_labels_and_another_seed_others(
    config: DemoVideoConfig, videos: list[DemoVideo]
) -> None:
    larger = config.model_copy(update={"size": 256})
    assert write_annotations(plan_videos(larger)) == write_annotations(videos)
    other = config.model_copy(update={"seed": 21})
    assert write_annotations(plan_videos(other)) != write_annotations(videos)


def test_the_annotations_are_a_csv_of_the_instances(videos: list[DemoVideo]) -> None:
    rows = list(csv.DictReader(io.StringIO(write_annotations(videos).decode())))
    assert len(rows) == sum(len(video.instances) for video in videos)
    first, instance = rows[0], videos[0].instances[0]
    assert (first["video"], first["label"]) == (videos[0].identifier, instance.label)
    assert float(first["start"]) == pytest.approx(instance.start, abs=5e-4)
    assert float(first["end"]) == pytest.approx(instance.end, abs=5e-4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"actions": ("jump", "fly")},
        {"actions": ()},
        {"actions": ("jump", "jump")},
        {"size": 63},
        {"sise": 64},
    ],
)
def test_wrong_wishes_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        DemoVideoConfig(**wrong)


def test_a_video_too_short_for_its_actions_has_fewer() -> None:
    short = DemoVideoConfig(train=3, val=1, test=1, actions=("spin", "crawl"), shortest=4.0, longest=4.0)
    for video in plan_videos(short):
        assert video.num_frames == 50
        assert len(video.instances) <= 1


def test_a_video_has_the_same_bytes_each_time() -> None:
    config = DemoVideoConfig(train=1, val=1, test=1, shortest=8.0, longest=8.0)
    video = plan_videos(config)[0]
    assert render_video(video, config) == render_video(video, config)


def test_pictures_show_a_moving_person_and_are_the_same_each_time() -> None:
    video = plan_videos(SMALL)[0]
    pictures = list(render_frames(video, SMALL))
    assert len(pictures) == video.num_frames
    assert pictures[0].shape == (48, 48, 3)
    assert pictures[0].dtype == np.uint8
    for first, second in zip(pictures, render_frames(video, SMALL), strict=True):
        np.testing.assert_array_equal(first, second)
    instance = video.instances[0]
    frames = slice(*(round(time * SMALL.frames_per_second) for time in (instance.start, instance.end)))
    # In the middle of the picture, where the camera keeps the person, an action changes much.
    centre = np.stack(pictures[frames])[:, 12:36, 12:36].astype(float)
    assert np.abs(np.diff(centre, axis=0)).max(axis=(1, 2, 3)).mean() > 40


def test_a_rendered_video_has_the_length_and_the_pictures_of_its_plan(tmp_path: Path) -> None:
    video = plan_videos(SMALL)[1]
    path = tmp_path / "video.mp4"
    path.write_bytes(render_video(video, SMALL))
    info = probe(path)
    assert (info.codec, info.width, info.height, info.num_frames) == ("h264", 48, 48, video.num_frames)
    assert info.duration == pytest.approx(video.num_frames / SMALL.frames_per_second, abs=1e-3)
    times = [number / SMALL.frames_per_second for number in range(video.num_frames)]
    for drawn, read in zip(render_frames(video, SMALL), frames_at(path, times), strict=True):
        assert np.abs(drawn.astype(int) - read).mean() < 12  # compression alone differs


def test_processes_render_all_videos_in_order_and_alike() -> None:
    videos = plan_videos(SMALL)
    rendered = dict(render_videos(videos, SMALL, processes=2))
    assert list(rendered) == [
        "train/train_000.mp4",
        "train/train_001.mp4",
        "val/val_000.mp4",
        "test/test_000.mp4",
    ]
    assert dict(render_videos(videos, SMALL, processes=1)) == rendered


@pytest.mark.parametrize("package", ["pybullet", "pybullet_data"])
def test_without_pybullet_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    original = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name == package:
            raise ImportError(name)
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    motion._load_clip.cache_clear()
    render._pybullet.cache_clear()
    with pytest.raises(ProlepsisError, match="pybullet") as caught:
        next(render_videos(plan_videos(SMALL), SMALL))
    assert "prolepsis[demo]" in str(caught.value.remedy)


@pytest.mark.parametrize("name", ["walk", "kick", "cartwheel", "backflip"])
def test_poses_between_frames_are_those_of_pybullets_own_interpolation(name: str) -> None:
    import pybullet_data

    packages = Path(pybullet_data.__file__).parent.parent
    interpolators = runpy.run_path(
        str(packages / "pybullet_envs" / "deep_mimic" / "env" / "humanoid_pose_interpolator.py")
    )
    clip_file = Path(pybullet_data.getDataPath()) / "data" / "motions" / f"humanoid3d_{name}.txt"
    frames = json.loads(clip_file.read_text())["Frames"]
    pybullet = render._pybullet()
    clip = motion.load_clips((name,))[name]
    step = frames[0][0]
    for number, share in product([0, 7, len(frames) - 2], [0.0, 0.3, 0.9]):
        oracle = interpolators["HumanoidPoseInterpolator"]()
        oracle.Slerp(share, frames[number], frames[number + 1], pybullet)
        pose = clip.sample(np.array([(number + share) * step]))
        assert pose.position[0, 1] == pytest.approx(oracle._basePos[1], abs=1e-4)
        expected = [oracle._chestRot, oracle._neckRot, oracle._rightHipRot, oracle._rightAnkleRot]
        expected += [
            oracle._rightShoulderRot,
            oracle._leftHipRot,
            oracle._leftAnkleRot,
            oracle._leftShoulderRot,
        ]
        for ours, theirs in zip(pose.rotations[0, 1:], expected, strict=True):
            # Quaternions up to their sign; there in the order x y z w, and no longer than they were recorded.
            cosine = np.dot(np.roll(ours, -1), theirs) / np.linalg.norm(theirs)
            assert abs(cosine) == pytest.approx(1.0, abs=1e-4)
        hinges = [oracle._rightKneeRot, oracle._rightElbowRot, oracle._leftKneeRot, oracle._leftElbowRot]
        np.testing.assert_allclose(pose.hinges[0], np.ravel(hinges), atol=1e-3)


def test_a_repeated_walk_goes_on_straight_ahead() -> None:
    walk = motion.load_clips(("walk",))["walk"].sample(np.arange(0.0, 5.0, 0.05))
    assert np.all(np.diff(walk.position[:, 0]) > 0)
    assert walk.position[-1, 0] == pytest.approx(5.0 * 1.24 / 1.27, rel=0.15)


@settings(max_examples=30, deadline=None)
@given(st.floats(-3.0, 3.0), st.floats(-3.0, 3.0), st.floats(-3.1, 3.1))
def test_a_motion_is_placed_where_it_was_asked_for(x: float, z: float, heading: float) -> None:
    clip = motion.load_clips(("punch",))["punch"]
    ground = motion.ground_of(motion.Ground(x, z, heading).place(clip.first()), 0)
    assert (ground.x, ground.z) == pytest.approx((x, z), abs=1e-9)
    assert np.cos(ground.heading - heading) == pytest.approx(1.0)


@given(st.integers(1, 20))
@settings(max_examples=10, deadline=None)
def test_a_transition_leads_from_one_pose_to_the_other_in_small_steps(frames: int) -> None:
    clips = motion.load_clips(("jump", "crawl"))
    start, end = clips["jump"].first(), clips["crawl"].first()
    whole = motion.join([start, motion.transition(start, end, frames), end])
    assert len(whole) == frames + 2
    turns = np.sum(whole.rotations[1:] * whole.rotations[:-1], axis=-1)
    total = np.sum(start.rotations * end.rotations, axis=-1)
    assert np.all(np.abs(turns) >= np.abs(total) - 1e-9)  # no step turns farther than the whole way
    assert np.all(np.diff(whole.position[:, 1]) <= 1e-12)
