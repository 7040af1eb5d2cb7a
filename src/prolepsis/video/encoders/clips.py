"""The frames that an encoder looks at for each step of a video, in one pass over it."""

from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from prolepsis.video import media
from prolepsis.video.media import Picture

Frame = Picture | Tensor  # uint8 [height, width, 3] RGB, in memory or on a device
Clip = tuple[Frame, ...]


class FramesAt(Protocol):
    """What reads frames: `media.frames_at`, or another with its contract."""

    def __call__(
        self,
        path: Path,
        times: Sequence[float],
        size: tuple[int, int],
        image_folder_rate: float | None = None,
    ) -> Iterator[Frame]: ...


def clips_at(
    path: Path,
    centres: NDArray[np.float64],
    offsets: Sequence[float],
    size: tuple[int, int],
    image_folder_rate: float | None = None,
    frames_at: FramesAt = media.frames_at,
) -> Iterator[Clip]:
    """Yields for each of `centres` (seconds, ascending) the frames on show at `offsets` from it, ascending.

    A frame that several clips or offsets share is decoded and converted once, and is the same array in all of
    them; no more frames are held than the clips of one moment reach over. Before the first frame it is the
    first, past the end the last.

    Args:
        image_folder_rate: frames per second, if it is a folder of images, which does not say it itself.
        frames_at: decodes them.
    """
    times = centres[:, None] + np.asarray(offsets)
    # Clips overlap: what they ask for is brought into the order of the video, and dealt out again.
    order = np.argsort(times, axis=None, kind="stable")
    moments = array("d", times.ravel()[order].tobytes())
    clips: deque[list[Frame]] = deque()
    opened = closed = 0
    for index, picture in zip(order, frames_at(path, moments, size, image_folder_rate), strict=True):
        step = int(index) // len(offsets)
        while opened <= step:
            clips.append([])
            opened += 1
        clips[step - closed].append(picture)
        while clips and len(clips[0]) == len(offsets):
            yield tuple(clips.popleft())
            closed += 1
