"""`killed_features.py STORE VIDEO`: saves features, and kills its own process in the middle of a video.

A video of -1 lets it end. Prints each video that it begins. A program of its own, since only a process that
really dies shows what is left.
"""

import os
import signal
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from prolepsis.io import FeatureStoreDataset
from prolepsis.video.features import FeatureStream, SourceVideo

STEPS, DIMENSION, BLOCK = 1000, 64, 100


def main(store: str, kill_at: int) -> None:
    videos = [f"v{number}" for number in range(4)]

    def encode(due: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
        for video in due:
            print(video, flush=True)  # noqa: T201
            rows = np.random.default_rng(videos.index(video)).normal(size=(STEPS, DIMENSION))
            for start in range(0, STEPS, BLOCK):
                if video == f"v{kill_at}" and start == STEPS // 2:
                    os.kill(os.getpid(), signal.SIGKILL)
                yield video, rows[start : start + BLOCK]

    sources = [SourceVideo(video, STEPS, video) for video in videos]
    FeatureStoreDataset(filepath=store).save(
        FeatureStream("made_up", {}, "0" * 64, "float32", 6.25, DIMENSION, sources, encode)
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
