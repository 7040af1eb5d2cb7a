"""What happens in each demonstration video: who does what, when, and what it looks like. No rendering here.

A video is a pure function of (configuration, index). Its labels depend on nothing that is drawn for its look.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from prolepsis.video.annotations import SPLITS
from prolepsis.video.demo.motion import (
    Clip,
    Ground,
    Motion,
    bend,
    ground_of,
    hold,
    join,
    load_clips,
    transition,
)


@dataclass(frozen=True)
class _Action:
    clips: tuple[str, ...]
    repeats: tuple[int, int] = (1, 1)  # least and most
    transition: float = 0.4  # seconds from standing into it, and back


_ACTIONS: dict[str, _Action] = {
    "backflip": _Action(("backflip",)),
    "cartwheel": _Action(("cartwheel",)),
    "crawl": _Action(("crawl",), transition=0.9),
    "dance": _Action(("dance_a", "dance_b")),
    "jump": _Action(("jump",)),
    "kick": _Action(("kick",)),
    "punch": _Action(("punch",)),
    "roll": _Action(("roll",)),
    "run": _Action(("run",), repeats=(2, 3)),
    "spin": _Action(("spin",)),
    "spinkick": _Action(("spinkick",), repeats=(1, 2)),
}
# People stand upright or, now and then, on guard: the poses from which these clips start.
_STANDING_CLIPS = ("jump", "spin", "backflip", "punch", "kick")
_CLIPS = ("walk", *_STANDING_CLIPS, *(clip for action in _ACTIONS.values() for clip in action.clips))

_SPEED = (0.85, 1.2)
_SECONDS_PER_ACTION = 5.0
_SHORTEST_GAP = 0.8  # seconds of walking or standing around each action
_SHORTEST_WALK = 1.2
_WALK_SHARE = 0.7
_WALK_TRANSITION = 0.32
_WALK_METRES_PER_SECOND = 0.98  # of the recorded walk
_TURN_RATE = np.radians(130)  # per second, of who sets out for somewhere
_FAR = 2.0  # metres from where a walk shall lead; then nobody stands and waits


class DemoVideoConfig(BaseModel):
    """The demonstration videos a user asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    train: int = Field(24, ge=1)
    val: int = Field(6, ge=1)
    test: int = Field(10, ge=1)
    actions: tuple[str, ...] = tuple(_ACTIONS)
    shortest: float = Field(16.0, ge=4.0)  # seconds
    longest: float = Field(26.0, ge=4.0)
    frames_per_second: float = Field(12.5, gt=0.0, le=60.0)
    size: int = Field(192, ge=32, multiple_of=2)  # pixels, width and height
    two_people_share: float = Field(0.25, ge=0.0, le=1.0)

    @field_validator("actions")
    @classmethod
    def _known(cls, actions: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(actions) - set(_ACTIONS))
        if unknown or not actions or len(set(actions)) < len(actions):
            raise ValueError(f"choose different ones of {', '.join(_ACTIONS)}")
        return actions


@dataclass(frozen=True)
class Instance:
    """An action from `start` to `end`, in seconds."""

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class Person:
    motion: Motion
    size: float  # body height relative to the recorded skeleton's


@dataclass(frozen=True)
class DemoVideo:
    """All that decides one video; `index` also seeds its look."""

    index: int
    split: str
    identifier: str
    people: tuple[Person, ...]
    instances: tuple[Instance, ...]

    @property
    def name(self) -> str:
        return f"{self.split}/{self.identifier}.mp4"

    @property
    def num_frames(self) -> int:
        return len(self.people[0].motion)


def plan_videos(config: DemoVideoConfig) -> list[DemoVideo]:
    """The script of every video, in order: train, val, test. Takes well under a second.

    Raises:
        ProlepsisError: pybullet, whose clips are used, is not installed.
    """
    clips = load_clips(_CLIPS)
    videos: list[DemoVideo] = []
    for split in SPLITS:
        cards = _deal(config, split)
        for number in range(getattr(config, split)):
            videos.append(_plan_video(config, clips, split, number, len(videos), cards))
    return videos


def write_annotations(videos: list[DemoVideo]) -> bytes:
    """The CSV that the ingestion reads: video, start and end in seconds, label."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["video", "start", "end", "label"])
    for video in videos:
        for instance in video.instances:
            writer.writerow(
                [video.identifier, f"{instance.start:.3f}", f"{instance.end:.3f}", instance.label]
            )
    return text.getvalue().encode()


def count_instances(videos: list[DemoVideo], config: DemoVideoConfig) -> dict[str, Any]:
    """What was planted: videos, seconds and action instances of each split, as JSON-like values."""
    splits = {}
    for split in SPLITS:
        chosen = [video for video in videos if video.split == split]
        labels = Counter(instance.label for video in chosen for instance in video.instances)
        frames = sum(video.num_frames for video in chosen)
        splits[split] = {
            "videos": len(chosen),
            "videos_with_two_people": sum(len(video.people) == 2 for video in chosen),
            "seconds": round(frames / config.frames_per_second, 2),
            "instances": {label: labels[label] for label in sorted(config.actions)},
        }
    return {"seed": config.seed, "size": config.size, "splits": splits}


def _deal(config: DemoVideoConfig, split: str) -> Iterator[str]:
    """Actions in shuffled rounds of all of them, so that a split has nearly the same number of each."""
    generator = np.random.default_rng([config.seed, SPLITS.index(split), 1])
    while True:
        yield from generator.permutation(config.actions).tolist()


def _plan_video(
    config: DemoVideoConfig, clips: dict[str, Clip], split: str, number: int, index: int, cards: Iterator[str]
) -> DemoVideo:
    generator = np.random.default_rng([config.seed, index, 2])
    seconds = generator.uniform(config.shortest, max(config.shortest, config.longest))
    num_frames = round(seconds * config.frames_per_second)
    # Evenly spread, so that every split has its share of them.
    shared = int((number + 1) * config.two_people_share) > int(number * config.two_people_share)
    num_people = 2 if shared else 1
    people, instances = [], []
    for person in range(num_people):
        # Two people share the video's actions, so that each has time to stand by.
        num_actions = max(1, round(seconds / _SECONDS_PER_ACTION / num_people))
        labels = [next(cards) for _ in range(num_actions)]
        place = Ground(0.0, 2.0 * person, float(generator.uniform(-np.pi, np.pi)))
        reach = _ALONE if num_people == 1 else _TOGETHER
        actor = _Actor(clips, config.frames_per_second, generator, place, reach)
        acted, done = actor.act(labels, num_frames)
        people.append(Person(acted, size=float(generator.uniform(0.88, 1.1))))
        instances.extend(done)
    instances.sort(key=lambda instance: (instance.start, instance.label))
    return DemoVideo(index, split, f"{split}_{number:03d}", tuple(people), tuple(instances))


@dataclass(frozen=True)
class _Range:
    """How far people go, so that all of them stay in the picture."""

    walk: float  # metres from their place
    run: tuple[float, float]  # degrees of the curve that a run makes, least and most


_ALONE = _Range(walk=2.5, run=(90.0, 200.0))
_TOGETHER = _Range(walk=0.5, run=(210.0, 280.0))


class _Actor:
    """Builds one person's motion, piece after piece."""

    def __init__(
        self,
        clips: dict[str, Clip],
        rate: float,
        generator: np.random.Generator,
        place: Ground,
        reach: _Range,
    ) -> None:
        self._clips = clips
        self._rate = rate
        self._generator = generator
        self._place = place
        self._range = reach
        self._phase = generator.uniform(0, 2 * np.pi)
        self._last = place.place(self._standing_pose())
        self._pieces: list[Motion] = []
        self._frames = 0

    def act(self, labels: list[str], num_frames: int) -> tuple[Motion, list[Instance]]:
        """The motion of exactly `num_frames` frames, in which the actions are spread by chance."""
        actions = [self._choose(label) for label in labels]
        least = (len(actions) + 1) * self._count(_SHORTEST_GAP)
        while actions and sum(frames + 2 * into for _, _, frames, into in actions) + least > num_frames:
            actions.pop()
            least -= self._count(_SHORTEST_GAP)
        free = num_frames - least - sum(frames + 2 * into for _, _, frames, into in actions)
        gaps = self._count(_SHORTEST_GAP) + self._split(free, len(actions) + 1)
        instances = []
        for gap, (label, clip, frames, into) in zip(gaps, actions, strict=False):
            self._wait(int(gap))
            # The annotated action begins and ends half-way through its transitions.
            start = self._frames + into / 2
            self._perform(clip, frames, into, *(self._curve(frames) if label == "run" else (0.0, 0)))
            end = self._frames + into / 2
            self._stand(into, into)
            instances.append(Instance(start / self._rate, end / self._rate, label))
        self._wait(int(gaps[-1]))
        return join(self._pieces), instances

    def _choose(self, label: str) -> tuple[str, tuple[str, float], int, int]:
        action = _ACTIONS[label]
        clip = action.clips[self._generator.integers(len(action.clips))]
        repeats = self._generator.integers(action.repeats[0], action.repeats[1] + 1)
        speed = float(self._generator.uniform(*_SPEED))
        frames = self._count(repeats * self._clips[clip].duration / speed)
        return label, (clip, speed), frames, self._count(action.transition)

    def _wait(self, frames: int) -> None:
        """Background: a walk to somewhere near and then a moment of standing, or standing only."""
        most = frames - self._count(self._generator.uniform(0.3, 1.0))
        speed = float(self._generator.uniform(0.8, 1.15))
        turn, distance = self._way(*self._somewhere())
        walk = min(most, self._count(distance / (speed * _WALK_METRES_PER_SECOND)))
        wanted = self._generator.random() < _WALK_SHARE or distance > _FAR
        if wanted and walk >= self._count(_SHORTEST_WALK):
            into = self._count(_WALK_TRANSITION)
            self._perform(("walk", speed), walk - into, into, turn, self._count(abs(turn) / _TURN_RATE))
            frames -= walk
        self._stand(frames, min(frames, self._count(_WALK_TRANSITION)))

    def _stand(self, frames: int, into: int) -> None:
        """`frames` of standing, the first `into` of which lead into the pose."""
        placed = ground_of(self._last, -1).place(self._standing_pose())
        self._append(transition(self._last, placed, into))
        times = (self._frames + np.arange(frames - into)) / self._rate
        self._append(hold(placed, times, self._phase))

    def _perform(
        self, clip: tuple[str, float], frames: int, into: int, turn: float = 0.0, turning: int = 0
    ) -> None:
        """`into` frames of transition and `frames` of a clip, of which the first `turning` make a turn."""
        name, speed = clip
        motion = self._clips[name].sample(np.arange(frames, dtype=np.float64) * (speed / self._rate))
        motion = ground_of(self._last, -1).place(bend(motion, turn, turning))
        self._append(transition(self._last, motion[:1], into))
        self._append(motion)

    def _somewhere(self) -> tuple[float, float]:
        angle, share = self._generator.uniform(0, 2 * np.pi), np.sqrt(self._generator.random())
        reach = share * self._range.walk
        return float(self._place.x + reach * np.cos(angle)), float(self._place.z + reach * np.sin(angle))

    def _way(self, x: float, z: float) -> tuple[float, float]:
        """The turn in radians and the metres that lead from here to a place."""
        here = ground_of(self._last, -1)
        turn = np.arctan2(here.z - z, x - here.x) - here.heading
        return float((turn + np.pi) % (2 * np.pi) - np.pi), float(np.hypot(x - here.x, z - here.z))

    def _curve(self, frames: int) -> tuple[float, int]:
        turn, _ = self._way(self._place.x, self._place.z)
        return float(np.copysign(np.radians(self._generator.uniform(*self._range.run)), turn)), frames

    def _standing_pose(self) -> Motion:
        weights = np.array([0.25, 0.25, 0.2, 0.15, 0.15])
        return self._clips[self._generator.choice(_STANDING_CLIPS, p=weights)].first()

    def _append(self, motion: Motion) -> None:
        if len(motion):
            self._pieces.append(motion)
            self._frames += len(motion)
            self._last = motion[-1:]

    def _count(self, seconds: float) -> int:
        return round(seconds * self._rate)

    def _split(self, frames: int, parts: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """`frames` split by chance into `parts` whole numbers."""
        cuts = np.round(np.cumsum(self._generator.dirichlet(np.full(parts, 2.0))) * frames).astype(np.int64)
        return np.diff(cuts, prepend=0)
