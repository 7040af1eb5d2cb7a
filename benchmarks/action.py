"""What each detector costs on this machine: training steps and streaming steps per second, and parameters.

    python benchmarks/action.py [--paper] [--seconds 3]

Small sizes by default (width 64, 1280 features in); `--paper` takes each detector's own defaults at 3072
features, which wants a GPU or patience. A training step is forward, backward and Adam on 16 windows of 64
steps (for OadTR, on 64 of these steps with their history); a streaming step is one new frame of one video.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from prolepsis import plugins
from prolepsis.action.detectors.base import Detector
from prolepsis.action.sampling import SamplingConfig
from prolepsis.action.windows import LabelledVideo, WindowSampler
from prolepsis.training.device import resolve_device

SMALL: dict[str, dict[str, Any]] = {
    "frame_only": {},
    "rnn": {"hidden_size": 64},
    "trn": {"hidden_size": 64, "feature_size": 64, "decoder_steps": 8},
    "oadtr": {"window_steps": 32, "hidden_size": 64, "encoder_layers": 2, "decoder_layers": 2},
}
NUM_CLASSES, STEPS = 22, 64


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--paper", action="store_true", help="the papers' sizes")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each figure is measured")
    arguments = parser.parse_args()
    device = resolve_device()
    input_size = 3072 if arguments.paper else 1280
    print(f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}, {input_size} features")
    print(f"{'detector':<12}{'parameters':>14}{'training steps/s':>18}{'frames/s':>12}{'streamed/s':>12}")
    for name, small in SMALL.items():
        plugin = plugins.load("prolepsis.action_detectors", name)
        config = plugin.Config(**({} if arguments.paper else small))
        detector = plugin(config, input_size=input_size, num_classes=NUM_CLASSES).to(device)
        trained, frames = training_rate(detector, device, arguments.seconds)
        streamed = streaming_rate(detector, device, arguments.seconds)
        parameters = sum(parameter.numel() for parameter in detector.parameters())
        print(f"{name:<12}{parameters:>14,}{trained:>18.2f}{trained * frames:>12,.0f}{streamed:>12,.0f}")


def training_rate(detector: Detector, device: torch.device, seconds: float) -> tuple[float, int]:
    """Training steps per second, and how many frames of a step enter the loss."""
    random = np.random.default_rng(0)
    length = detector.context + 4 * STEPS
    videos = [
        LabelledVideo(
            str(index),
            random.normal(size=(length, detector.input_size)).astype(np.float16),
            np.eye(NUM_CLASSES, dtype=np.uint8)[random.integers(NUM_CLASSES, size=length)],
            np.zeros(length, bool),
        )
        for index in range(4)
    ]
    # Where every scored step has a window of its own, one step in 16 is learnt from.
    share = 1 / 16 if detector.context else 1.0
    sampling = SamplingConfig(window_steps=STEPS, scored_fraction=share)
    sampler = WindowSampler(videos, sampling, context=detector.context, horizon=detector.horizon, seed=0)
    [batch] = sampler.batches(0, 1)
    batch = batch.to(device)
    optimizer = torch.optim.Adam(detector.parameters(), 1e-4)
    detector.train()

    def step() -> None:
        optimizer.zero_grad()
        detector.loss(batch)[0].backward()
        optimizer.step()

    return rate(step, device, seconds), int(batch.scored.sum())


@torch.no_grad()
def streaming_rate(detector: Detector, device: torch.device, seconds: float) -> float:
    detector.eval()
    feature = torch.randn(1, detector.input_size, device=device)
    state = detector.initial_state(1)

    def step() -> None:
        nonlocal state
        state = detector.step(feature, state).state

    return rate(step, device, seconds)


def rate(work: Callable[[], None], device: torch.device, seconds: float) -> float:
    """How often `work` runs in a second, after two runs to warm up."""
    for _ in range(2):
        work()
    wait(device)
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        work()
        wait(device)
        count += 1
    return count / (time.perf_counter() - started)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
