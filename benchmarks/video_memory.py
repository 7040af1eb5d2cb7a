"""Peak memory of reading a long video, which must not grow with its length.

    python benchmarks/video_memory.py [--hours 2] [--size 320 240]

Makes a video of that length, then reads it in a process of its own for each way of reading: `probe`, which
decodes all of it, and `frames_at` at four steps a second. Prints peak resident memory and time; exits with an
error if a peak reaches 1 GiB.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

FRAMES_PER_SECOND = 25
STEPS_PER_SECOND = 4
LIMIT_MIB = 1024


def write_video(path: Path, hours: float, width: int, height: int) -> None:
    """A drifting gradient in MPEG-4, which is cheap to encode."""
    import av

    row = np.linspace(0, 255, 2 * width).astype(np.uint8)
    pictures = [
        av.VideoFrame.from_ndarray(
            np.broadcast_to(row[shift : shift + width, None], (height, width, 3)).copy(), format="rgb24"
        ).reformat(format="yuv420p")
        for shift in range(0, width, max(1, width // 50))
    ]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FRAMES_PER_SECOND)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(round(hours * 3600 * FRAMES_PER_SECOND)):
            picture = pictures[number % len(pictures)]
            picture.pts, picture.time_base = number, Fraction(1, FRAMES_PER_SECOND)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def read(path: Path, way: str, hours: float) -> None:
    """Reads the video in one way and prints what it took; run in a process of its own."""
    from prolepsis.video.media import frames_at, probe

    start = time.perf_counter()
    if way == "probe":
        count = probe(path).num_frames
    else:
        steps = round(hours * 3600 * STEPS_PER_SECOND)
        times = [(step + 0.5) / STEPS_PER_SECOND for step in range(steps)]
        count = sum(1 for _ in frames_at(path, times))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{way}: {count} frames in {seconds:.1f} s, peak {peak:.0f} MiB", flush=True)
    if peak >= LIMIT_MIB:
        sys.exit(f"The peak is not below {LIMIT_MIB} MiB.")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--read", nargs=2, metavar=("WAY", "FILE"), help="read a file that is there already")
    arguments = parser.parse_args()
    if arguments.read:
        way, file = arguments.read
        read(Path(file), way, arguments.hours)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "long.mp4")
        start = time.perf_counter()
        write_video(path, arguments.hours, *arguments.size)
        size = path.stat().st_size / 2**20
        print(
            f"{arguments.hours:g} h, {size:.0f} MiB, written in {time.perf_counter() - start:.0f} s",
            flush=True,
        )
        for way in ("probe", "frames_at"):
            subprocess.run(
                [sys.executable, __file__, "--hours", str(arguments.hours), "--read", way, str(path)],
                check=True,
            )


if __name__ == "__main__":
    main()
