"""Whether feature extraction is as fast as its parts: ratios, each measured in one run on this machine.

    python benchmarks/video.py [--video FILE] [--seconds 60] [--repeats 5] [--heavy efficientnet_lite0]

    decode      extraction with an encoder that costs nothing, against PyAV's own decoding and converting of
                the kept frames of the same file, one frame in six
    encode      extraction with a heavy encoder, against that encoder on frames in memory, in the same
                batches; it needs a core for the encoder and one for the decoder
    scaling     two processes with a file each on two cores, against one process with one; PyAV alone in the
                same way beside it, which says what the machine's cores leave to be had

Without --video a moving pattern of 640x480 at 24 frames a second is encoded as h264. The works of a line run
in turns; a ratio is the median over the rounds of what each round gives, with the least and the greatest of
them, so that a change of the machine's pace meets both sides. Processor time tells whether a ratio by the
wall is the machine's or the code's.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from unittest import mock

import av
import numpy as np
import torch
from torch import Tensor

from prolepsis import plugins
from prolepsis.training.device import autocast, resolve_device, resolve_precision
from prolepsis.video import media
from prolepsis.video.encoders.base import FrameEncoder
from prolepsis.video.encoders.extraction import Clock, Decoding, VideoSteps, extract_features
from prolepsis.video.labels import num_steps, step_times

RATE, EVERY, SIDE, BATCH = 4.0, 6, 224, 16


@dataclass(frozen=True)
class Measured:
    """Seconds by the wall and by the processor, one of each for each round."""

    walls: list[float] = field(default_factory=list)
    processors: list[float] = field(default_factory=list)

    @property
    def wall(self) -> float:
        return statistics.median(self.walls)


class Free(FrameEncoder):
    """The first pixel of each frame: an encoder that costs nothing."""

    def __init__(self) -> None:
        super().__init__(dimension=3, input_size=SIDE, weights_sha256="")

    def forward(self, frames: Tensor) -> Tensor:
        return frames[:, 0, 0, 0].float()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--video", type=Path, help="a file of one's own, at any frame rate")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="of the file that is made without --video"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--heavy", default="efficientnet_lite0", help="a plugin that needs no configuration")
    parser.add_argument("--batches", type=int, default=8, help="that the heavy encoder is given")
    arguments = parser.parse_args()
    device = resolve_device()
    print(f"{device}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.video or make_video(Path(folder) / "pattern.mp4", arguments.seconds)
        steps = count_steps(path)
        print(f"{path.name}: {steps} steps of {RATE} a second")
        measure_decoding(path, steps, arguments.repeats, device)
        measure_encoding(path, arguments.batches * BATCH, arguments.repeats, arguments.heavy, device)
        measure_scaling(path, steps, arguments.repeats)


def measure_decoding(path: Path, steps: int, repeats: int, device: torch.device) -> None:
    encoder = Free().to(device)
    converted = count_conversions(lambda: extract([path], [steps], encoder, device))
    alone, whole = rounds(
        repeats, partial(decode_kept, path, steps), lambda: extract([path], [steps], encoder, device)
    )
    print(
        f"decode   {steps / alone.wall:9,.1f} kept frames/s by PyAV, {steps / whole.wall:,.1f} by extraction"
    )
    print(f"         ratio {ratio(alone.walls, whole.walls)}, at least 0.9; ", end="")
    print(f"processor time {ratio(alone.processors, whole.processors)}")
    print(f"         {converted} frames converted for {steps} steps")


def measure_encoding(path: Path, steps: int, repeats: int, name: str, device: torch.device) -> None:
    plugin = plugins.load("prolepsis.frame_encoders", name)
    encoder: FrameEncoder = plugin(plugin.Config()).to(device)
    batch = torch.randint(0, 256, (BATCH, 1, SIDE, SIDE, 3), dtype=torch.uint8)
    precision = resolve_precision("auto", device)

    @torch.inference_mode()
    def alone() -> None:
        for _ in range(steps // BATCH):
            with autocast(device, precision):
                encoder(batch.to(device)).float().cpu()

    # The file over and over, each time as a video of its own, until there are enough steps.
    length = min(steps, count_steps(path))
    lengths = [length] * (steps // length) + ([steps % length] if steps % length else [])
    clocks: list[Clock] = []

    def whole() -> None:
        clocks.append(Clock())
        extract([path] * len(lengths), lengths, encoder, device, clocks[-1])

    def decode() -> None:
        for one in lengths:
            decode_kept(path, one)

    memory, decoded, extracted = rounds(repeats, alone, decode, whole)
    both = [one + other for one, other in zip(memory.processors, decoded.processors, strict=True)]
    print(f"encode   {steps / memory.wall:9,.1f} frames/s of {name} from memory, ", end="")
    print(f"{steps / extracted.wall:,.1f} by extraction")
    print(f"         ratio {ratio(memory.walls, extracted.walls)}, at least 0.9; ", end="")
    print(f"processor time of encoding and decoding alone {ratio(both, extracted.processors)} of it")
    print(f"         {min(clocks[1:], key=lambda clock: clock.seconds).report()}")


def measure_scaling(path: Path, steps: int, repeats: int) -> None:
    def decoding() -> None:
        decode_kept(path, steps)

    def extracting() -> None:
        extract([path], [steps], Free(), torch.device("cpu"))

    runs = [partial(in_processes, count, work) for work in (extracting, decoding) for count in (1, 2)]
    one, two, alone, pair = rounds(repeats, *runs)
    print(f"scaling  two processes do {ratio(one.walls, two.walls, 2)} times what one does, at least 1.7")
    print(f"         PyAV alone: {ratio(alone.walls, pair.walls, 2)} times")


def extract(
    paths: list[Path],
    lengths: list[int],
    encoder: FrameEncoder,
    device: torch.device,
    clock: Clock | None = None,
) -> None:
    videos = [
        VideoSteps(str(number), path, length)
        for number, (path, length) in enumerate(zip(paths, lengths, strict=True))
    ]
    for _ in extract_features(
        videos,
        encoder,
        rate=RATE,
        batch_size=BATCH,
        decoding=Decoding(threads=1),
        device=device,
        precision=resolve_precision("auto", device),
        clock=clock,
    ):
        pass


def decode_kept(path: Path, steps: int) -> None:
    """What PyAV needs for the frames that are on show at the steps: decode all, convert those."""
    times = iter(step_times(steps, RATE))
    due = next(times)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        shown = None
        for frame in container.decode(stream):
            while shown is not None and frame.time > due + 1e-6:
                shown.to_ndarray(format="rgb24", height=SIDE, width=SIDE, interpolation="BILINEAR")
                due = next(times, np.inf)
            if due == np.inf:
                return
            shown = frame
        assert shown is not None
        shown.to_ndarray(format="rgb24", height=SIDE, width=SIDE, interpolation="BILINEAR")


def count_conversions(work: Callable[[], None]) -> int:
    """How many frames the work converts to pictures."""
    with mock.patch.object(media, "_convert", wraps=media._convert) as convert:
        work()
    return convert.call_count


def in_processes(count: int, work: Callable[[], None]) -> None:
    """The work in each of `count` processes, which are started and warm before the first begins."""
    context = multiprocessing.get_context("fork")
    ready, begin = context.Barrier(count + 1), context.Barrier(count + 1)
    processes = [context.Process(target=one_process, args=(work, ready, begin)) for _ in range(count)]
    for process in processes:
        process.start()
    ready.wait()
    begin.wait()
    for process in processes:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"a process ended with {process.exitcode}")


def one_process(work: Callable[[], None], ready: threading.Barrier, begin: threading.Barrier) -> None:
    torch.set_num_threads(1)
    ready.wait()
    begin.wait()
    work()


def rounds(repeats: int, *works: Callable[[], None]) -> list[Measured]:
    """The times of each work, run in turns, after one run to warm up."""
    measured = [Measured() for _ in works]
    for turn in range(repeats + 1):
        for work, times in zip(works, measured, strict=True):
            wall, processor = time.perf_counter(), time.process_time()
            work()
            if turn:
                times.walls.append(time.perf_counter() - wall)
                times.processors.append(time.process_time() - processor)
    return measured


def ratio(these: list[float], others: list[float], factor: float = 1.0) -> str:
    each = [factor * one / other for one, other in zip(these, others, strict=True)]
    return f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"


def count_steps(path: Path) -> int:
    return num_steps(media.probe(path).duration, RATE)


def make_video(path: Path, seconds: float) -> Path:
    """Blocks of colour that drift at different speeds, 640x480, 24 frames a second, h264."""
    random = np.random.default_rng(0)
    layers = [random.integers(0, 128, (480, 640, 3), dtype=np.uint8) for _ in range(2)]
    cells = [np.ones((8 * k, 8 * k, 1), np.uint8) for k in (4, 8)]
    layers = [
        np.kron(layer[:: len(cell), :: len(cell)], cell)[:480, :640]
        for layer, cell in zip(layers, cells, strict=True)
    ]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(int(EVERY * RATE)), options={"crf": "23"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for number in range(round(seconds * EVERY * RATE)):
            moved = [np.roll(layer, k * number, 1) for k, layer in enumerate(layers, 1)]
            frame = av.VideoFrame.from_ndarray(moved[0] + moved[1], format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


if __name__ == "__main__":
    main()
