"""Recorded human motion as arrays: the clips that pybullet ships, and how they join into one long motion.

The clips are motion captures of real people that DeepMimic (Peng et al., SIGGRAPH 2018) published. The world
is y-up and a person whose heading is 0 looks along +x. Quaternions are (w, x, y, z).
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from prolepsis.errors import ProlepsisError

Array = npt.NDArray[np.float64]

# Where a clip's frame keeps what, after its duration (0): as in pybullet's deep_mimic environment.
_POSITION = slice(1, 4)
_ROTATIONS = (4, 8, 12, 16, 21, 25, 30, 35, 39)  # each the first of four values
_HINGES = (20, 29, 34, 43)

SPHERICAL_JOINTS = (
    "chest",
    "neck",
    "right_hip",
    "right_ankle",
    "right_shoulder",
    "left_hip",
    "left_ankle",
    "left_shoulder",
)
HINGE_JOINTS = ("right_knee", "right_elbow", "left_knee", "left_elbow")

_ROOT = 0
_CHEST = 1


@dataclass(frozen=True)
class Motion:
    """The poses of one person, one per frame.

    `position` [T, 3] of the pelvis in metres; `rotations` [T, 9, 4]: the pelvis in the world, then each of
    `SPHERICAL_JOINTS` in its parent; `hinges` [T, 4] in radians, one for each of `HINGE_JOINTS`.
    """

    position: Array
    rotations: Array
    hinges: Array

    def __len__(self) -> int:
        return len(self.position)

    def __getitem__(self, frames: slice) -> "Motion":
        return Motion(self.position[frames], self.rotations[frames], self.hinges[frames])

    def scaled(self, size: float) -> "Motion":
        """The same motion by a body `size` times as large."""
        return Motion(self.position * size, self.rotations, self.hinges)


@dataclass(frozen=True)
class Ground:
    """A place on the floor and a heading in radians."""

    x: float
    z: float
    heading: float

    def place(self, motion: Motion) -> Motion:
        """`motion`, recorded at the origin, here."""
        turn = _about_vertical(np.full(len(motion), self.heading))
        position = _rotate(turn, motion.position) + np.array([self.x, 0.0, self.z])
        rotations = motion.rotations.copy()
        rotations[:, _ROOT] = _multiply(turn, rotations[:, _ROOT])
        return Motion(position, rotations, motion.hinges)

    def then(self, step: "Ground") -> "Ground":
        """Where `step`, taken from here, leads."""
        cosine, sine = np.cos(self.heading), np.sin(self.heading)
        return Ground(
            float(self.x + cosine * step.x + sine * step.z),
            float(self.z - sine * step.x + cosine * step.z),
            self.heading + step.heading,
        )


class Clip:
    """One recorded motion, moved so that it starts at the origin, looking along +x."""

    def __init__(self, frames: Array) -> None:
        self._times = np.concatenate([[0.0], np.cumsum(frames[:-1, 0])])
        recorded = Motion(
            frames[:, _POSITION],
            np.stack([_unit(frames[:, first : first + 4]) for first in _ROTATIONS], axis=1),
            frames[:, list(_HINGES)],
        )
        start = ground_of(recorded, 0)
        recorded.position[:, [0, 2]] -= [start.x, start.z]
        self._motion = Ground(0.0, 0.0, -start.heading).place(recorded)
        self._cycle = ground_of(self._motion, -1)

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(self._times[-1])

    def first(self) -> Motion:
        return self._motion[:1]

    def sample(self, times: Array) -> Motion:
        """The poses at `times` (seconds); beyond the end the clip goes on with its next repetition."""
        cycles = np.floor(times / self.duration + 1e-9).astype(int)
        within = np.clip(times - cycles * self.duration, 0.0, self.duration)
        left = np.clip(np.searchsorted(self._times, within, side="right") - 1, 0, len(self._times) - 2)
        share = (within - self._times[left]) / (self._times[left + 1] - self._times[left])
        poses = _between(_take(self._motion, left), _take(self._motion, left + 1), share)
        placed, start = [], Ground(0.0, 0.0, 0.0)
        for cycle in range(int(cycles.max(initial=0)) + 1):
            placed.append(start.place(_take(poses, np.flatnonzero(cycles == cycle))))
            start = start.then(self._cycle)
        return join(placed)


def load_clips(names: tuple[str, ...]) -> dict[str, Clip]:
    """The named clips out of the installed pybullet.

    Raises:
        ProlepsisError: pybullet is not installed.
    """
    return {name: _load_clip(name) for name in names}


def join(motions: list[Motion]) -> Motion:
    return Motion(
        np.concatenate([motion.position for motion in motions]),
        np.concatenate([motion.rotations for motion in motions]),
        np.concatenate([motion.hinges for motion in motions]),
    )


def ground_of(motion: Motion, frame: int) -> Ground:
    """Where the person is in a frame, and the heading: how far the pelvis is turned about the vertical."""
    w, _, y, _ = motion.rotations[frame, _ROOT]
    x, _, z = motion.position[frame]
    return Ground(float(x), float(z), float(2 * np.arctan2(y, w)))


def transition(start: Motion, end: Motion, frames: int) -> Motion:
    """`frames` poses strictly between two single poses; it starts and ends gently."""
    share = np.arange(1, frames + 1) / (frames + 1)
    repeated = np.zeros(frames, dtype=int)
    return _between(_take(start, repeated), _take(end, repeated), share * share * (3 - 2 * share))


def hold(pose: Motion, times: Array, phase: float) -> Motion:
    """A person who stands in `pose` and breathes and sways a little, as people do."""
    motion = _take(pose, np.zeros(len(times), dtype=int))
    breath = np.radians(1.6) * np.sin(2 * np.pi * 0.3 * times + phase)
    sway = np.radians(1.2) * np.sin(2 * np.pi * 0.17 * times + 2.3 * phase)
    rotations = motion.rotations.copy()
    rotations[:, _CHEST] = _multiply(rotations[:, _CHEST], _about_axis(breath, 2))
    rotations[:, _ROOT] = _multiply(rotations[:, _ROOT], _about_axis(sway, 0))
    return Motion(motion.position, rotations, motion.hinges)


def bend(motion: Motion, turn: float, frames: int) -> Motion:
    """The same steps on a curve that turns the person by `turn` radians in the first `frames`."""
    angles = turn * np.clip(np.arange(len(motion)) / max(frames, 1), 0.0, 1.0)
    turns = _about_vertical(angles)
    steps = np.diff(motion.position, axis=0, prepend=motion.position[:1])
    rotations = motion.rotations.copy()
    rotations[:, _ROOT] = _multiply(turns, rotations[:, _ROOT])
    return Motion(motion.position[:1] + np.cumsum(_rotate(turns, steps), axis=0), rotations, motion.hinges)


@cache
def _load_clip(name: str) -> Clip:
    try:
        import pybullet_data
    except ImportError as error:
        raise ProlepsisError(
            "The demonstration videos are made from motions that the package pybullet ships.",
            remedy="pip install 'prolepsis[demo]' (or put your own videos where raw_videos points to).",
        ) from error
    file = Path(pybullet_data.getDataPath()) / "data" / "motions" / f"humanoid3d_{name}.txt"
    return Clip(np.asarray(json.loads(file.read_text())["Frames"], dtype=np.float64))


def _take(motion: Motion, frames: npt.NDArray[np.intp]) -> Motion:
    return Motion(motion.position[frames], motion.rotations[frames], motion.hinges[frames])


def _between(start: Motion, end: Motion, share: Array) -> Motion:
    weight = share[:, None]
    return Motion(
        start.position + weight * (end.position - start.position),
        _slerp(start.rotations, end.rotations, weight),
        start.hinges + weight * (end.hinges - start.hinges),
    )


def _unit(quaternions: Array) -> Array:
    length: Array = np.linalg.norm(quaternions, axis=-1, keepdims=True)
    return quaternions / length


def _slerp(start: Array, end: Array, share: Array) -> Array:
    """Spherical interpolation of [..., 4] on the shorter way; `share` [...]."""
    cosine = np.sum(start * end, axis=-1)
    end = np.where(cosine[..., None] < 0, -end, end)  # q and -q are the same rotation
    angle = np.arccos(np.clip(np.abs(cosine), 0.0, 1.0))
    sine = np.sin(angle)
    small = sine < 1e-6
    divisor = np.where(small, 1.0, sine)
    from_start = np.where(small, 1.0 - share, np.sin((1.0 - share) * angle) / divisor)
    from_end = np.where(small, share, np.sin(share * angle) / divisor)
    return _unit(from_start[..., None] * start + from_end[..., None] * end)


def _multiply(first: Array, second: Array) -> Array:
    w1, x1, y1, z1 = np.moveaxis(first, -1, 0)
    w2, x2, y2, z2 = np.moveaxis(second, -1, 0)
    return np.stack(
        [
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        ],
        axis=-1,
    )


def _rotate(quaternions: Array, vectors: Array) -> Array:
    w, axis = quaternions[..., :1], quaternions[..., 1:]
    across = 2.0 * np.cross(axis, vectors)
    return vectors + w * across + np.cross(axis, across)


def _about_axis(angles: Array, axis: int) -> Array:
    quaternions = np.zeros((len(angles), 4))
    quaternions[:, 0] = np.cos(angles / 2)
    quaternions[:, 1 + axis] = np.sin(angles / 2)
    return quaternions


def _about_vertical(angles: Array) -> Array:
    return _about_axis(angles, 1)
