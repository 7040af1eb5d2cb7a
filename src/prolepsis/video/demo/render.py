"""Draws a demonstration video: people by pybullet's software renderer, floor, sky and shadows by arithmetic.

The renderer's own shadow maps are banded at this scale and cost two thirds of its time; a shadow on a flat
floor is exact and cheap when the limbs are projected onto it.
"""

import ctypes
import io
import math
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from prolepsis.errors import ProlepsisError
from prolepsis.video.demo.motion import HINGE_JOINTS, SPHERICAL_JOINTS, Motion
from prolepsis.video.demo.script import DemoVideo, DemoVideoConfig

Array = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]  # [height, width, 3] RGB

_URDF_SCALE = 0.25  # metres per unit of pybullet's humanoid.urdf, whose skeleton the clips fit


@dataclass(frozen=True)
class _Limb:
    """A capsule from `start` to `end`, or a sphere where they are one, in the link's own URDF units."""

    link: str
    material: str
    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radius: float


def _both_sides(link: str, material: str, end: tuple[float, float, float], radius: float) -> list[_Limb]:
    return [_Limb(f"{side}_{link}", material, (0, 0, 0), end, radius) for side in ("right", "left")]


# What hangs on the skeleton; its own shapes are collision spheres with gaps between them.
_LIMBS = [
    _Limb("root", "trousers", (0, 0.1, -0.24), (0, 0.1, 0.24), 0.34),
    _Limb("root", "shirt", (0, 0.4, -0.12), (0, 0.9, -0.12), 0.33),
    _Limb("root", "shirt", (0, 0.4, 0.12), (0, 0.9, 0.12), 0.33),
    _Limb("chest", "shirt", (0, 0.1, -0.18), (0, 0.7, -0.2), 0.36),
    _Limb("chest", "shirt", (0, 0.1, 0.18), (0, 0.7, 0.2), 0.36),
    _Limb("chest", "shirt", (-0.08, 0.92, -0.6), (-0.08, 0.92, 0.6), 0.2),
    _Limb("neck", "skin", (0, 0, 0), (0, 0.5, 0), 0.16),
    _Limb("neck", "skin", (0.04, 0.72, 0), (0.04, 0.72, 0), 0.38),
    _Limb("neck", "hair", (-0.07, 0.8, 0), (-0.07, 0.8, 0), 0.38),
    *_both_sides("hip", "trousers", (0, -1.62, 0), 0.24),
    *_both_sides("knee", "trousers", (0, -1.55, 0), 0.18),
    *_both_sides("ankle", "shoes", (0.42, -0.08, 0), 0.15),
    *_both_sides("shoulder", "shirt", (0, -1.05, 0), 0.17),
    *_both_sides("elbow", "skin", (0, -0.98, 0), 0.13),
    *_both_sides("wrist", "skin", (0, -0.12, 0), 0.16),
]

_FIELD_OF_VIEW = 45.0  # degrees
_SHADOW_EDGE = 0.03  # metres of half-shadow on each side of the edge
_URDF_END = b"</robot>"


@dataclass(frozen=True)
class _Look:
    """Everything about a video's picture that its labels do not depend on."""

    materials: tuple[dict[str, Array], ...]  # of each person: RGB in 0..1
    girth: tuple[float, ...]
    floor: Array  # [2, 3]: the RGB of its light and of its dark tiles
    tile: tuple[float, float]  # metres; an infinite one makes stripes
    sky: Array  # [2, 3]: the RGB at the horizon and above
    light: Array  # unit vector towards the light
    brightness: float
    azimuth: float
    drift: float  # radians per second
    elevation: float
    distance: float


def render_videos(
    videos: list[DemoVideo], config: DemoVideoConfig, processes: int | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yields (relative path, mp4 content) of each video in the order given, rendered in parallel processes.

    Args:
        processes: how many; by default one for each core this process may use.

    Raises:
        ProlepsisError: pybullet is not installed.
    """
    from prolepsis.training.progress import track

    _pybullet()
    if processes is None:
        processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Not forked: the parent may hold threads (torch, polars) that a fork would break.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(videos)), mp_context=context) as pool:
        contents = pool.map(partial(render_video, config=config), videos)
        names = [video.name for video in videos]
        yield from track(
            zip(names, contents, strict=True), "Rendering videos", total=len(videos), unit="videos"
        )


def render_video(video: DemoVideo, config: DemoVideoConfig) -> bytes:
    """One video as an H.264 mp4, the same bytes each time."""
    import av

    # All pictures come before the first is encoded: an encoder at work in between changes what the renderer
    # computes, in a few pixels and never twice in the same way.
    pictures = list(render_frames(video, config))
    rate = Fraction(config.frames_per_second).limit_denominator(1000)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        # x264's vector code for macroblock trees gives other bytes each time.
        options = {"preset": "veryfast", "crf": "22", "x264-params": "mbtree=0"}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width = stream.height = config.size
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1  # the same bytes on any number of cores
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def render_frames(video: DemoVideo, config: DemoVideoConfig) -> Iterator[Picture]:
    """The pictures of a video, one by one."""
    generator = np.random.default_rng([config.seed, video.index, 3])
    look = _choose_look(generator, len(video.people))
    motions = [person.motion.scaled(person.size) for person in video.people]
    camera = _Camera(look, motions, config)
    with _simulator() as simulator:
        sizes = [person.size for person in video.people]
        bodies = [
            _Body(simulator, size, girth, materials)
            for size, girth, materials in zip(sizes, look.girth, look.materials, strict=True)
        ]
        _add_furniture(simulator, generator, motions, camera)
        for frame in range(video.num_frames):
            limbs = [body.pose(motion, frame) for body, motion in zip(bodies, motions, strict=True)]
            yield _draw(simulator, camera, look, frame, np.concatenate(limbs))


def _choose_look(generator: np.random.Generator, num_people: int) -> _Look:
    def colour(low: float, high: float) -> Array:
        return generator.uniform(low, high, 3)

    def materials() -> dict[str, Array]:
        skin = np.array([0.92, 0.74, 0.6]) * generator.uniform(0.45, 1.05)
        return {
            "skin": np.clip(skin, 0, 1),
            "hair": np.array([0.35, 0.24, 0.15]) * generator.uniform(0.2, 1.8),
            "shirt": colour(0.1, 0.95),
            "trousers": colour(0.05, 0.7),
            "shoes": colour(0.02, 0.5),
        }

    floor = colour(0.3, 0.75)
    tile = float(generator.uniform(0.4, 1.1))
    horizon = colour(0.6, 0.95)
    around, height = generator.uniform(0, 2 * np.pi), generator.uniform(0.9, 2.2)
    light = np.array([np.cos(around), height, np.sin(around)])
    return _Look(
        materials=tuple(materials() for _ in range(num_people)),
        girth=tuple(float(generator.uniform(0.85, 1.2)) for _ in range(num_people)),
        floor=np.stack([floor, floor * generator.uniform(0.65, 0.9)]),
        tile=(tile, math.inf if generator.random() < 0.4 else tile),
        sky=np.stack([horizon, horizon * generator.uniform(0.5, 1.05, 3)]),
        light=light / np.linalg.norm(light),
        brightness=float(generator.uniform(0.8, 1.1)),
        azimuth=float(generator.uniform(-np.pi, np.pi)),
        drift=float(np.radians(generator.uniform(-6, 6))),
        elevation=float(np.radians(generator.uniform(4, 28))),
        distance=float(generator.uniform(2.9, 3.9)),
    )


class _Camera:
    """Follows the people softly, from a slowly changing side, and steps back when they part."""

    def __init__(self, look: _Look, motions: list[Motion], config: DemoVideoConfig) -> None:
        self.size = config.size
        positions = np.stack([motion.position for motion in motions])
        middle = positions.mean(axis=0)
        apart = np.linalg.norm(np.ptp(positions, axis=0)[:, [0, 2]], axis=1)
        times = np.arange(len(middle)) / config.frames_per_second
        middle[:, 1] = 0.5 * middle[:, 1] + 0.45
        self.target = _smooth(middle, 0.5 * config.frames_per_second)
        wide = 1.3 * _smooth(apart[:, None], 1.2 * config.frames_per_second)[:, 0] + 1.6
        distance = np.maximum(look.distance, wide)
        azimuth = look.azimuth + look.drift * times
        level = np.cos(look.elevation) * distance
        away = np.stack(
            [np.cos(azimuth) * level, np.sin(look.elevation) * distance, np.sin(azimuth) * level], axis=1
        )
        self.position = self.target + away

    def rays(self, frame: int) -> npt.NDArray[np.float32]:
        """[size, size, 3]: the direction of each pixel's ray, one unit deep."""
        forward = self.target[frame] - self.position[frame]
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 1.0, 0.0])
        right = right / np.linalg.norm(right)
        up = np.cross(right, forward)
        reach = math.tan(math.radians(_FIELD_OF_VIEW / 2))
        across = ((np.arange(self.size) + 0.5) / self.size * 2 - 1) * reach
        columns = (forward + across[:, None] * right).astype(np.float32)
        rows = (across[:, None] * up).astype(np.float32)
        rays: npt.NDArray[np.float32] = columns[None] - rows[:, None]
        return rays


class _Body:
    """A person in the simulator."""

    def __init__(self, simulator: Any, size: float, girth: float, materials: dict[str, Array]) -> None:
        self._simulator = simulator
        self._scale = _URDF_SCALE * size
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "person.urdf"
            file.write_bytes(_person_urdf(girth, materials))
            self._body = simulator.loadURDF(
                str(file),
                globalScaling=self._scale,
                useFixedBase=True,
                flags=simulator.URDF_MAINTAIN_LINK_ORDER,
            )
        names = [
            simulator.getJointInfo(self._body, joint)[12].decode()
            for joint in range(simulator.getNumJoints(self._body))
        ]
        self._joints = {name: number for number, name in enumerate(names)}
        self._limb_links = [self._joints[limb.link] for limb in _LIMBS]
        self._girth = girth

    def pose(self, motion: Motion, frame: int) -> Array:
        """Takes the pose and returns its limbs [L, 7]: both ends and the radius of each, in metres."""
        root, *rotations = np.roll(motion.rotations[frame], -1, axis=1).tolist()  # x y z w
        self._simulator.resetBasePositionAndOrientation(self._body, motion.position[frame].tolist(), root)
        for name, rotation in zip(SPHERICAL_JOINTS, rotations, strict=True):
            self._simulator.resetJointStateMultiDof(self._body, self._joints[name], rotation)
        for name, angle in zip(HINGE_JOINTS, motion.hinges[frame].tolist(), strict=True):
            self._simulator.resetJointState(self._body, self._joints[name], angle)
        states = self._simulator.getLinkStates(self._body, self._limb_links, computeForwardKinematics=True)
        limbs = np.empty((len(_LIMBS), 7))
        for row, limb, state in zip(limbs, _LIMBS, states, strict=True):
            turn = np.reshape(self._simulator.getMatrixFromQuaternion(state[5]), (3, 3))
            row[0:3] = state[4] + turn @ limb.start * self._scale
            row[3:6] = state[4] + turn @ limb.end * self._scale
            row[6] = limb.radius * self._scale * self._girth
        return limbs


def _draw(simulator: Any, camera: _Camera, look: _Look, frame: int, limbs: Array) -> Picture:
    size = camera.size
    _, _, colours, _, owners = simulator.getCameraImage(
        size,
        size,
        viewMatrix=simulator.computeViewMatrix(
            camera.position[frame].tolist(), camera.target[frame].tolist(), [0, 1, 0]
        ),
        projectionMatrix=simulator.computeProjectionMatrixFOV(_FIELD_OF_VIEW, 1.0, 0.1, 40.0),
        lightDirection=look.light.tolist(),
        lightAmbientCoeff=0.55 * look.brightness,
        lightDiffuseCoeff=0.5 * look.brightness,
        lightSpecularCoeff=0.05,
        shadow=False,
        renderer=simulator.ER_TINY_RENDERER,
    )
    drawn = np.asarray(owners).reshape(size, size) >= 0
    picture = np.asarray(colours, dtype=np.uint8).reshape(size, size, 4)[..., :3].copy()
    scenery = _draw_scenery(camera, look, frame, limbs, ~drawn)
    picture[~drawn] = np.clip(scenery * (255 * look.brightness), 0, 255).astype(np.uint8)
    return picture


def _draw_scenery(
    camera: _Camera, look: _Look, frame: int, limbs: Array, where: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """RGB [N, 3] of the N pixels `where` nothing else is: sky, or the floor with the people's shadow."""
    # Single precision: this arithmetic is most of the time that a frame takes.
    rays = camera.rays(frame)[where]
    horizon, zenith = look.sky.astype(np.float32)
    picture: npt.NDArray[np.float32] = horizon + np.clip(2 * rays[:, 1:2], 0, 1) * (zenith - horizon)
    down = np.flatnonzero(rays[:, 1] < -1e-3)
    eye = camera.position[frame].astype(np.float32)
    reach = -eye[1] / rays[down, 1]
    x, z = eye[0] + reach * rays[down, 0], eye[2] + reach * rays[down, 2]
    # The pattern fades where a tile is smaller than a pixel, the floor itself into the haze.
    odd = (np.floor(x / look.tile[0]) + np.floor(z / look.tile[1])) % 2
    share = 0.5 + (odd - 0.5) * np.exp(reach / -7)
    light, dark = look.floor.astype(np.float32)
    lit = 1 - 0.45 * _shadow(x, z, limbs, look.light)
    haze = np.clip((reach - 6) / 20, 0, 1)
    clear = (1 - haze) * lit
    picture[down] = (
        (clear * (1 - share))[:, None] * light + (clear * share)[:, None] * dark + haze[:, None] * horizon
    )
    return picture


def _shadow(
    x: npt.NDArray[np.float32], z: npt.NDArray[np.float32], limbs: Array, light: Array
) -> npt.NDArray[np.float32]:
    """How much of the light each floor point loses to the limbs, 0 to 1, with soft edges."""
    slide = light[[0, 2]] / light[1]
    starts = (limbs[:, [0, 2]] - limbs[:, 1:2] * slide).astype(np.float32)
    ends = (limbs[:, [3, 5]] - limbs[:, 4:5] * slide).astype(np.float32)
    reaches = limbs[:, 6].astype(np.float32) + _SHADOW_EDGE
    shadow = np.zeros_like(x)
    low = np.minimum(starts, ends) - reaches[:, None]
    high = np.maximum(starts, ends) + reaches[:, None]
    near = _within(x, z, low.min(axis=0), high.max(axis=0))
    near_x, near_z = x[near], z[near]
    darkest = np.zeros_like(near_x)
    for start, end, reach, corner, opposite in zip(starts, ends, reaches, low, high, strict=True):
        close = _within(near_x, near_z, corner, opposite)
        to_x, to_z = near_x[close] - start[0], near_z[close] - start[1]
        along = end - start
        share = np.clip((to_x * along[0] + to_z * along[1]) / max(along @ along, 1e-9), 0, 1)
        distance = np.hypot(to_x - share * along[0], to_z - share * along[1])
        darkest[close] = np.maximum(darkest[close], np.clip((reach - distance) / (2 * _SHADOW_EDGE), 0, 1))
    shadow[near] = darkest
    return shadow


def _within(
    x: npt.NDArray[np.float32],
    z: npt.NDArray[np.float32],
    low: npt.NDArray[np.float32],
    high: npt.NDArray[np.float32],
) -> npt.NDArray[np.intp]:
    return np.flatnonzero((x > low[0]) & (x < high[0]) & (z > low[1]) & (z < high[1]))


def _add_furniture(
    simulator: Any, generator: np.random.Generator, motions: list[Motion], camera: _Camera
) -> None:
    """A few boxes and columns that stand in nobody's way."""
    kept_free = np.concatenate([motion.position[:, [0, 2]] for motion in motions])
    seen_from = camera.position[:, [0, 2]]
    for _ in range(int(generator.integers(3, 8))):
        place = kept_free[generator.integers(len(kept_free))] + generator.uniform(-6, 6, 2)
        half = generator.uniform([0.15, 0.2, 0.15], [0.5, 1.1, 0.5])
        tone = [*generator.uniform(0.15, 0.9, 3).tolist(), 1.0]
        turn = simulator.getQuaternionFromEuler([0, float(generator.uniform(0, np.pi)), 0])
        to_people = np.linalg.norm(kept_free - place, axis=1).min()
        to_camera = np.linalg.norm(seen_from - place, axis=1).min()
        if to_people < 1.6 or to_camera < 2.0:
            continue
        shape = simulator.createVisualShape(simulator.GEOM_BOX, halfExtents=half.tolist(), rgbaColor=tone)
        simulator.createMultiBody(0, -1, shape, [float(place[0]), float(half[1]), float(place[1])], turn)


@contextmanager
def _simulator() -> Iterator[Any]:
    pybullet = _pybullet()
    from pybullet_utils.bullet_client import BulletClient

    with _silence():
        client = BulletClient(pybullet.DIRECT)
    try:
        yield client
    finally:
        client.disconnect()


@cache
def _pybullet() -> Any:
    try:
        with _silence():
            import pybullet
    except ImportError as error:
        raise ProlepsisError(
            "The demonstration videos are drawn by the package pybullet, which is not installed.",
            remedy="pip install 'prolepsis[demo]' (or put your own videos where raw_videos points to).",
        ) from error
    return pybullet


@contextmanager
def _silence() -> Iterator[None]:
    """pybullet greets from C: on stderr when it is imported, on stdout when it connects."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [(stream, os.dup(stream)) for stream in (1, 2)]
    try:
        with Path(os.devnull).open("wb") as nowhere:
            for stream, _ in kept:
                os.dup2(nowhere.fileno(), stream)
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # what C has buffered belongs to the silence
        for stream, copy in kept:
            os.dup2(copy, stream)
            os.close(copy)


def _person_urdf(girth: float, materials: dict[str, Array]) -> bytes:
    """pybullet's humanoid skeleton, dressed with `_LIMBS`."""
    import pybullet_data

    content = (Path(pybullet_data.getDataPath()) / "humanoid" / "humanoid.urdf").read_bytes()
    content = content[: content.rindex(_URDF_END) + len(_URDF_END)]  # the file ends in a NUL byte
    robot = ElementTree.fromstring(content)  # noqa: S314 (a file of an installed package, not a user's)
    for link in robot.iter("link"):
        for shape in link.findall("collision") + link.findall("visual"):
            link.remove(shape)
        for limb in _LIMBS:
            if limb.link == link.get("name"):
                _add_shape(link, limb, girth, materials[limb.material])
    for joint in robot.iter("joint"):
        if joint.get("type") == "spherical" and joint.find("axis") is None:
            ElementTree.SubElement(joint, "axis", xyz="1 0 0")  # without one, the loader complains for each
    dressed: bytes = ElementTree.tostring(robot)
    return dressed


def _add_shape(link: ElementTree.Element, limb: _Limb, girth: float, colour: Array) -> None:
    start, end = np.array(limb.start), np.array(limb.end)
    length = float(np.linalg.norm(end - start))
    middle = " ".join(f"{value:.5f}" for value in (start + end) / 2)
    visual = ElementTree.SubElement(link, "visual")
    origin = ElementTree.SubElement(visual, "origin", xyz=middle, rpy="0 0 0")
    geometry = ElementTree.SubElement(visual, "geometry")
    radius = f"{limb.radius * girth:.5f}"
    if length > 0:
        # URDF capsules lie along z: roll about x, then pitch about y, turn that axis into (x, y, z).
        x, y, z = (end - start) / length
        origin.set("rpy", f"{math.asin(-y):.5f} {math.atan2(x, z):.5f} 0")
        ElementTree.SubElement(geometry, "capsule", length=f"{length:.5f}", radius=radius)
    else:
        ElementTree.SubElement(geometry, "sphere", radius=radius)
    material = ElementTree.SubElement(visual, "material", name=f"{limb.link} {limb.material}")
    rgba = " ".join(f"{value:.4f}" for value in np.clip(colour, 0, 1))
    ElementTree.SubElement(material, "color", rgba=f"{rgba} 1")


def _smooth(values: Array, frames: float) -> Array:
    """A Gaussian average over time [T, D] with a standard deviation of `frames`."""
    reach = max(1, math.ceil(3 * frames))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / frames) ** 2)
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    columns = [np.convolve(column, weights / weights.sum(), mode="valid") for column in padded.T]
    return np.stack(columns, axis=1)
