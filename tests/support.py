"""A Kedro project of a test's own, and videos to run it on."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import polars as pl

from prolepsis.video.manifest import video_sha256

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Project:
    """A copy of this project's configuration in a folder of its own, with nothing in its `data`."""

    path: Path
    env: str = "test"

    def run(
        self, *pipelines: str, params: Mapping[str, Any] | None = None, namespaces: list[str] | None = None
    ) -> dict[str, Any]:
        """`kedro run --env test --pipelines …` in this process."""
        with self._session(params) as session:
            outputs: dict[str, Any] = session.run(pipeline_names=list(pipelines), namespaces=namespaces)
        return outputs

    def load(self, dataset: str) -> Any:
        return self.catalog().load(dataset)

    def save(self, dataset: str, data: Any) -> None:
        self.catalog().save(dataset, data)

    def catalog(self) -> Any:
        with self._session() as session:
            return session.load_context().catalog

    def _session(self, params: Mapping[str, Any] | None = None) -> Any:
        from kedro.framework.session import KedroSession
        from kedro.framework.startup import bootstrap_project

        bootstrap_project(self.path)
        return KedroSession.create(self.path, env=self.env, runtime_params=dict(params or {}))


def copy_project(path: Path) -> Path:
    """Copies what makes a Kedro project, without data; the source is linked, not copied."""
    path.mkdir()
    shutil.copytree(ROOT / "conf", path / "conf", ignore=shutil.ignore_patterns("local"))
    (path / "conf" / "local").mkdir()
    shutil.copy(ROOT / "pyproject.toml", path)
    # Kedro wants `src` itself to lie inside the project.
    (path / "src").mkdir()
    (path / "src" / "prolepsis").symlink_to(ROOT / "src" / "prolepsis", target_is_directory=True)
    return path


def write_video(path: Path, num_frames: int, seed: int) -> None:
    """Coloured noise that drifts, at 12.5 frames a second."""
    random = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = random.integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(12, 0).repeat(12, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25, 2))
        stream.width = stream.height = 96
        stream.pix_fmt = "yuv420p"
        for i in range(num_frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(blocks, i, 1), format="rgb24")))
        container.mux(stream.encode())


def manifest(rows: list[tuple[str, str, str, int]], folder: Path | None = None) -> pl.DataFrame:
    """Rows of video, split, path and number of frames, as video ingestion writes them of a folder."""
    return pl.DataFrame(
        [
            (
                video,
                split,
                path,
                video_sha256(folder / path) if folder else "0" * 64,
                "mp4",
                "h264",
                96,
                96,
                0,
                12.5,
                12.5,
                frames / 12.5,
                frames,
                frames // 2,
                [],
            )
            for video, split, path, frames in rows
        ],
        schema={
            "video": pl.String,
            "split": pl.String,
            "path": pl.String,
            "sha256": pl.String,
            "container": pl.String,
            "codec": pl.String,
            "width": pl.Int32,
            "height": pl.Int32,
            "rotation": pl.Int32,
            "fps": pl.Float64,
            "nominal_fps": pl.Float64,
            "duration": pl.Float64,
            "num_frames": pl.Int64,
            "num_steps": pl.Int32,
            "problems": pl.List(pl.String),
        },
        orient="row",
    )
