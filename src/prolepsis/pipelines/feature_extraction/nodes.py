"""The nodes of feature extraction."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from prolepsis.errors import ProlepsisError
from prolepsis.pipelines.feature_extraction.params import FeatureExtractionParams
from prolepsis.video.rates import check_rate


def extract_features(
    raw_videos: Path, video_manifest: pl.DataFrame, parameters: FeatureExtractionParams
) -> tuple[Any, Any]:
    """The features of all videos, as a stream that works while it is saved, and the clock that times it."""
    from prolepsis.training.device import resolve_device, resolve_precision
    from prolepsis.video import media, torchcodec_frames
    from prolepsis.video.encoders import clips, extraction
    from prolepsis.video.features import FeatureStream, SourceVideo

    check_rate(video_manifest, parameters.rate)
    device = resolve_device(parameters.device)
    precision = resolve_precision(parameters.precision, device)
    decoder = torchcodec_frames.resolve_decoder(parameters.decoder, device)
    frames_at: clips.FramesAt = media.frames_at
    if decoder == "torchcodec":
        frames_at = partial(torchcodec_frames.frames_at, device=device)
    ingested = dict(video_manifest.select(pl.col("path"), "sha256").iter_rows())
    frames_at = partial(
        _frames_of_unchanged, frames_at, {raw_videos / path: sha256 for path, sha256 in ingested.items()}
    )
    encoder = parameters.encoder.build().to(device)
    if parameters.compile:
        encoder.compile()
    videos = list(video_manifest.select("video", "path", "num_steps", "sha256", "fps").iter_rows())
    clock = extraction.Clock()

    def encode(due: Sequence[str]) -> Iterator[tuple[str, Any]]:
        wanted = set(due)
        return extraction.extract_features(
            [
                extraction.VideoSteps(video, raw_videos / path, num_steps, image_folder_rate=fps)
                for video, path, num_steps, _, fps in videos
                if video in wanted
            ],
            encoder,
            rate=parameters.rate,
            batch_size=parameters.batch_size,
            decoding=extraction.Decoding(parameters.decoder_threads, frames_at),
            device=device,
            precision=precision,
            clock=clock,
        )

    stream = FeatureStream(
        encoder=parameters.encoder.plugin,
        config=parameters.encoder.configuration().model_dump(mode="json"),
        weights_sha256=encoder.weights_sha256,
        precision=str(precision).removeprefix("torch."),
        rate=parameters.rate,
        dimension=encoder.dimension,
        videos=[SourceVideo(video, num_steps, sha256) for video, _, num_steps, sha256, _ in videos],
        encode=encode,
        dtype=parameters.dtype,
        decoder=decoder,
    )
    return stream, clock


def _frames_of_unchanged(
    frames_at: Any, ingested: Mapping[Path, str], path: Path, *arguments: Any, **options: Any
) -> Iterator[Any]:
    """What `frames_at` gives of a video, once it is known to be the file that was ingested."""
    from prolepsis.video.manifest import video_sha256

    if path.exists() and video_sha256(path) != ingested[path]:
        raise ProlepsisError(
            "The video is not the one that was ingested; its labels and steps may not fit it.",
            where=path,
            remedy="Ingest the videos again: kedro run --pipelines video_ingestion",
        )
    frames: Iterator[Any] = frames_at(path, *arguments, **options)
    return frames


def measure_features(frame_features: Any, extraction_clock: Any) -> dict[str, Any]:
    """How much there is of what, and how fast it was made."""
    num_steps = int(frame_features.index["num_steps"].sum())
    return {
        "encoder": frame_features.encoder,
        "videos": len(frame_features),
        "steps": num_steps,
        "hours": num_steps / frame_features.rate / 3600,
        "rate": frame_features.rate,
        "dimension": frame_features.dimension,
        "frames_per_second": extraction_clock.frames_per_second,
        "stages_frames_per_second": extraction_clock.stage_rates,
        "limit": extraction_clock.limit,
    }
