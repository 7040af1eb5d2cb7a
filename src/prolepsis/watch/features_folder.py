"""A folder in which features arrive, as `.npy` files: each of one step `[D]` or of several `[T, D]`.

Files are taken in the order of their names, numbers by their size (9 before 10), each once. Whoever writes
them writes aside and renames. What is no `.npy` file is passed over, and told of.
"""

import re
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.typing import NDArray

from prolepsis.errors import ProlepsisError
from prolepsis.video.live import Clock
from prolepsis.watch.engine import StepFeature

FEATURE_SUFFIX = ".npy"
_POLL_S = 0.05
_NUMBERS = re.compile(r"(\d+)", re.ASCII)


class FeaturesFolder:
    """Features as they arrive.

    Args:
        rate: steps per second.
        input_size: D, the length of each step's features.
        fast: take what is there, as fast as it can be, and end; else wait for more until told to stop.
        on_problem: told of files that are passed over.

    Raises:
        ProlepsisError: there is no such folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        rate: float,
        input_size: int,
        fast: bool,
        on_problem: Callable[[str], None],
        clock: Clock = time.monotonic,
    ) -> None:
        if not folder.is_dir():
            raise ProlepsisError("There is no such folder.", where=folder)
        self.name = str(folder)
        self.live = False  # files wait for whoever is late: no step is dropped
        self._fast = fast
        self._folder = folder
        self._rate = rate
        self._input_size = input_size
        self._on_problem = on_problem
        self._clock = clock
        self._known: set[str] = set()

    def features(self, stop: threading.Event) -> Generator[StepFeature]:
        """The steps of all files, and then of those that come.

        Raises:
            ProlepsisError: a file has features of another length, or of another kind than numbers; or the
                folder cannot be read any more.
        """
        step = 0
        while not stop.is_set():
            for path in self._new_files():
                for feature in self._read(path):
                    yield StepFeature(0, step, (step + 0.5) / self._rate, self._clock(), feature)
                    step += 1
            if self._fast:
                if step == 0:
                    raise ProlepsisError(
                        "There are no features in the folder.",
                        where=self._folder,
                        remedy="Put .npy files there, of one step [D] or of several [T, D]; without --fast "
                        "they are waited for.",
                    )
                return
            stop.wait(_POLL_S)

    def _new_files(self) -> list[Path]:
        try:
            names = {path.name for path in self._folder.iterdir() if not path.name.startswith(".")}
        except OSError as error:
            raise ProlepsisError(
                f"The folder cannot be read: {error.strerror}.", where=self._folder
            ) from error
        new = sorted(names - self._known, key=_natural)
        self._known |= names
        for name in new:
            if not name.endswith(FEATURE_SUFFIX):
                self._on_problem(f"{name} is passed over: it is no {FEATURE_SUFFIX} file")
        return [self._folder / name for name in new if name.endswith(FEATURE_SUFFIX)]

    def _read(self, path: Path) -> NDArray[np.float32]:
        try:
            with path.open("rb") as file:
                values = np.lib.format.read_array(file, allow_pickle=False)
        # A header that is cut off gives TokenError, one that promises too much MemoryError.
        except (ValueError, OSError, TokenError, MemoryError) as error:
            self._on_problem(f"{path.name} is passed over: it cannot be read as an array: {error}")
            return np.empty((0, self._input_size), np.float32)
        rows = values[np.newaxis] if values.ndim == 1 else values
        if rows.ndim != 2 or rows.shape[1] != self._input_size or not np.issubdtype(rows.dtype, np.floating):
            raise ProlepsisError(
                f"The file holds {values.dtype} of shape {list(values.shape)}; the detector takes numbers of "
                f"floating point, [{self._input_size}] or [steps, {self._input_size}].",
                where=path,
                remedy="Give features of the encoder that the detector was trained with.",
            )
        features: NDArray[np.float32] = rows.astype(np.float32)
        return features


def _natural(name: str) -> list[tuple[int, str]]:
    """Parts of a name that are numbers compare as numbers; the parts take turns. Last, 01 comes before 1."""
    parts = _NUMBERS.split(name)
    return [(int(part), "") if index % 2 else (0, part) for index, part in enumerate(parts)] + [(0, name)]
