"""Frames at given times by torchcodec, which decodes on the GPU and leaves the frames there.

What is on show at a time is what `prolepsis.video.media.frames_at` says, and on a CPU pictures of eight
bits are the same; scaled ones differ in rounding. torchcodec needs the shared libraries of FFmpeg 4 to 9 on
the machine, which its package does not bring along.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from prolepsis.errors import ProlepsisError
from prolepsis.video import media
from prolepsis.video.errors import UnreadableVideoError

Decoder = Literal["pyav", "torchcodec"]

# Full-size frames that are decoded before they are scaled: what a decoding thread holds on the GPU.
_FRAMES_AT_ONCE = 8
_SMALLEST_STEP_S = 1e-6  # timestamps are fractions; a time asked for is a float
_logger = logging.getLogger(__name__)


def resolve_decoder(decoder: Literal["auto"] | Decoder, device: torch.device) -> Decoder:
    """`auto` is torchcodec where the device is a CUDA GPU and torchcodec works, else PyAV.

    Raises:
        ProlepsisError: torchcodec is asked for by name and does not work here.
    """
    if decoder == "pyav" or (decoder == "auto" and device.type != "cuda"):
        return "pyav"
    obstacle = _obstacle()
    if obstacle is None:
        return "torchcodec"
    if decoder == "torchcodec":
        raise ProlepsisError(
            f"Videos cannot be decoded by torchcodec: {obstacle}.",
            where="feature_extraction.decoder",
            remedy="Install it with pip install 'prolepsis[torchcodec]', and FFmpeg 4 to 9 with its shared "
            "libraries where the system looks for them; or set decoder: pyav.",
        )
    _logger.info("Videos are decoded by PyAV, on the CPU: %s", obstacle)
    return "pyav"


def _obstacle() -> str | None:
    """Why torchcodec cannot be used, if it cannot."""
    try:
        import torchcodec
    except ImportError:
        return "it is not installed"
    except (OSError, RuntimeError) as error:
        return f"it does not load: {str(error).splitlines()[0]}"
    return None if torchcodec.ffmpeg_major_version else "it finds no FFmpeg"


def frames_at(
    path: Path,
    times: Sequence[float],
    size: tuple[int, int],
    image_folder_rate: float | None = None,
    *,
    device: torch.device,
) -> Iterator[Tensor]:
    """The frame on show at each of `times`, as uint8 RGB `[height, width, 3]` on the device.

    Folders of images, and files whose timestamps are not those of presentation (AVI, ASF), are read by
    `prolepsis.video.media` and copied to the device. A frame that is asked for several times in a row is the
    same tensor.

    Args:
        times: seconds after the first frame, ascending.
        size: (height, width) to scale to, bilinear, without regard to the aspect ratio.
        image_folder_rate: frames per second of a folder of images, which does not say it itself.

    Raises:
        UnreadableVideoError: the file cannot be decoded that far.
    """
    if not times:
        return iter(())
    if media.has_presentation_times(path):
        return _decoded(path, times, size, device)
    return _copied(media.frames_at(path, times, size, image_folder_rate), device)


def _copied(pictures: Iterator[media.Picture], device: torch.device) -> Iterator[Tensor]:
    shown: media.Picture | None = None
    frame = torch.empty(0)
    for picture in pictures:
        if picture is not shown:
            shown, frame = picture, torch.from_numpy(picture).to(device)
        yield frame


def _decoded(
    path: Path, times: Sequence[float], size: tuple[int, int], device: torch.device
) -> Iterator[Tensor]:
    from torchcodec.decoders import VideoDecoder

    shown: float | None = None
    frame = torch.empty(0)
    try:
        decoder = VideoDecoder(path, device=device if device.type == "cuda" else "cpu")
        start = float(decoder.metadata.begin_stream_seconds or 0)
        last = float(decoder.metadata.end_stream_seconds or 0) - _SMALLEST_STEP_S
        for first in range(0, len(times), _FRAMES_AT_ONCE):
            due = times[first : first + _FRAMES_AT_ONCE]
            moments = np.clip(start + np.asarray(due) + _SMALLEST_STEP_S, start, last)
            batch = decoder.get_frames_played_at(moments.tolist())
            for stamp, picture in zip(batch.pts_seconds.tolist(), _scale(batch.data, size), strict=True):
                if stamp != shown:
                    shown, frame = stamp, picture
                yield frame
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, IndexError) as error:
        raise UnreadableVideoError(
            f"It cannot be decoded by torchcodec: {str(error).splitlines()[0]}", where=path
        ) from error


def _scale(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 `[N, 3, H, W]` to uint8 `[N, height, width, 3]`."""
    if frames.shape[2:] != size:
        scaled = functional.interpolate(frames.float(), size, mode="bilinear", antialias=True)
        frames = scaled.round_().clamp_(0, 255).to(torch.uint8)
    return frames.permute(0, 2, 3, 1).contiguous()
