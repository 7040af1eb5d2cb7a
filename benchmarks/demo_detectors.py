"""Every detector of the project on its videos, over several seeds: mean and spread of what a run gives once.

    kedro run --pipelines demo_data,video_ingestion,feature_extraction
    python benchmarks/demo_detectors.py [--project .] [--seeds 0,1,2] [--only rnn,trn] [--env base]

Features, labels and the configurations of `action_detection` are those of the project, so other videos than
the demo's do as well. Each detector is trained anew with each seed; the epoch is chosen on the validation
videos, as `kedro run` does, and its per-frame mAP and mcAP on the test videos are told.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from prolepsis.action.evaluation.videos import ScoredVideo, evaluate_detection
from prolepsis.action.scoring import score_videos
from prolepsis.action.tables import labelled_videos
from prolepsis.action.training import DetectorSpecification, load_detector, train_detector
from prolepsis.action.windows import LabelledVideo
from prolepsis.pipelines.action_detection.params import DetectorParams
from prolepsis.variants import VARIANTS


@dataclass(frozen=True)
class Videos:
    """The project's videos by split, and the names of their classes."""

    train: list[LabelledVideo]
    val: list[LabelledVideo]
    test: list[LabelledVideo]
    class_names: list[str]


@dataclass
class Figures:
    """A figure for each seed."""

    test_map: list[float] = field(default_factory=list)
    test_calibrated: list[float] = field(default_factory=list)
    val_map: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--project", type=Path, default=Path())
    parser.add_argument("--env", default=None)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument(
        "--only", default=",".join(VARIANTS["action_detection"]), help="variants, between commas"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    videos, configured = read_project(arguments.project.resolve(), arguments.env)
    print("| | mAP | mcAP | mAP on val | seeds | CPU seconds to train |")
    print("|---|---|---|---|---|---|")
    for name in arguments.only.split(","):
        figures = Figures()
        for seed in map(int, arguments.seeds.split(",")):
            measure(configured[name], seed, videos, figures)
        columns = (figures.test_map, figures.test_calibrated, figures.val_map)
        shown = " | ".join(mean_and_spread(column) for column in columns)
        seconds = statistics.median(figures.seconds)
        print(f"| `{name}` | {shown} | {len(figures.seconds)} | {seconds:.0f} |", flush=True)


def read_project(project: Path, environment: str | None) -> tuple[Videos, dict[str, DetectorParams]]:
    bootstrap_project(project)
    with KedroSession.create(project_path=project, env=environment) as session:
        context = session.load_context()
        labels, features = context.catalog.load("frame_labels"), context.catalog.load("frame_features")
        train, val, test = (labelled_videos(labels, features, split) for split in ("train", "val", "test"))
        return (
            Videos(train, val, test, context.catalog.load("class_names")),
            dict(context.params["action_detection"]),
        )


def measure(parameters: DetectorParams, seed: int, videos: Videos, figures: Figures) -> None:
    with tempfile.TemporaryDirectory() as folder:
        changed = {"seed": seed, "device": "cpu", "checkpoint_directory": Path(folder)}
        specification = DetectorSpecification(
            parameters.plugin,
            parameters.configuration(),
            parameters.sampling,
            parameters.standardise,
            parameters.augmentation,
        )
        started = time.process_time()
        saved, result = train_detector(
            specification,
            videos.train,
            videos.val,
            videos.class_names,
            parameters.training.model_copy(update=changed),
        )
        figures.seconds.append(time.process_time() - started)
    figures.val_map.append(result.best_metrics["mean_average_precision"])
    features = {video.name: video.features for video in videos.test}
    truth = {video.name: video for video in videos.test}
    scored = [
        ScoredVideo(truth[one.video].labels > 0, truth[one.video].ignore, one.scores, one.anticipation)
        for one in score_videos(load_detector(saved), features, features, torch.device("cpu"))
    ]
    found = evaluate_detection(scored)
    figures.test_map.append(found.mean_average_precision)
    figures.test_calibrated.append(found.mean_calibrated_average_precision)


def mean_and_spread(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{spread}"


if __name__ == "__main__":
    main()
