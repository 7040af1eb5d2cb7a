"""Run in a process that finds FFmpeg's libraries: features of videos by torchcodec and by PyAV, as JSON.

python torchcodec_program.py VIDEO...
"""

import json
import sys
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from prolepsis.video import media, torchcodec_frames
from prolepsis.video.encoders.base import FrameEncoder
from prolepsis.video.encoders.extraction import Decoding, VideoSteps, extract_features
from prolepsis.video.labels import num_steps

RATE, SIDE = 10.0, 16
CPU = torch.device("cpu")


class Pixels(FrameEncoder):
    """Five places of the frame on show, away from edges, and of the one a fifth of a second before it."""

    def __init__(self) -> None:
        super().__init__(dimension=30, input_size=SIDE, weights_sha256="", offsets=(-0.2, 0.0))

    def forward(self, frames: Tensor) -> Tensor:
        last = SIDE - 1
        rows, columns = [0, 0, last, last, 4], [0, last, 0, last, 12]
        return frames[:, :, rows, columns].float().flatten(1)


def main(paths: list[Path]) -> None:
    found: dict[str, dict[str, object]] = {}
    for path in paths:
        info = media.probe(path, image_folder_rate=25.0)
        video = VideoSteps(path.name, path, num_steps(info.duration, RATE), image_folder_rate=25.0)
        found[path.name] = {"steps": video.num_steps, "size": [info.height, info.width]}
        times = [step / 7 for step in range(video.num_steps)]
        both = zip(
            torchcodec_frames.frames_at(path, times, (info.height, info.width), 25.0, device=CPU),
            media.frames_at(path, times, None, 25.0),
            strict=True,
        )
        found[path.name]["differences"] = [
            (ours.float() - torch.from_numpy(theirs).float()).abs().mean().item() for ours, theirs in both
        ]
        for name, frames_at in (
            ("torchcodec", partial(torchcodec_frames.frames_at, device=CPU)),
            ("pyav", media.frames_at),
        ):
            blocks = extract_features(
                [video],
                Pixels(),
                rate=RATE,
                batch_size=4,
                decoding=Decoding(2, frames_at),
                device=CPU,
                precision=torch.float32,
            )
            found[path.name][name] = [row for _, features in blocks for row in features.tolist()]
    resolved = torchcodec_frames.resolve_decoder("torchcodec", CPU)
    json.dump({"decoder": resolved, "videos": found}, sys.stdout)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
