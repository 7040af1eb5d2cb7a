"""Every detector on 50 Salads: per-frame mAP and mcAP in the five official folds, against two linear floors.

    python benchmarks/salads50.py SCORES.npz OUT [--only rnn,trn] [--folds 1,2] [--seeds 0,1,2] [--table]

SCORES.npz has for each video `<video>/feat` [T, 28], `<video>/mid` [T] (18 classes) and `<video>/split`, the
fold that tests it. The settings of a detector are chosen of those that `CANDIDATES` lists, for each fold
alone: each candidate is trained by the library's own loop on the training videos without those of
`VALIDATION_PEOPLE` persons drawn by fold, and the one with the best mAP on these is trained anew with each
seed on all training videos, as the floors are. Where there is one only, nothing is held out. No epoch is
chosen: the learning rate falls to zero, and the last one's weights are kept. The test videos are only scored,
and only by what was trained last.

The floors are logistic regressions of a frame, and of a frame and causal means over the last 5, 15 and 45
steps; their regularisation is chosen on the same validation videos (seed 0), and they are then fitted to the
whole training fold, as scikit-learn does.

The figures are over all 18 classes: of the test frames of all five folds pooled, and the mean of the folds.
What is finished lies in OUT, a line of `runs.jsonl` for each training and a file of scores for each detector,
fold and seed, and is not done again; several processes may share the work with --only or --folds.
"""

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression

from prolepsis import plugins
from prolepsis.action.augmentation import AugmentationConfig
from prolepsis.action.evaluation.frames import FrameEvaluation, evaluate_frames
from prolepsis.action.sampling import SamplingConfig
from prolepsis.action.scoring import score_videos
from prolepsis.action.training import DETECTORS, DetectorSpecification, load_detector, train_detector
from prolepsis.action.windows import LabelledVideo
from prolepsis.files import atomic_file
from prolepsis.training.checkpoint import clear_checkpoints
from prolepsis.training.config import TrainingConfig
from prolepsis.training.saved_model import SavedModel

NUM_CLASSES, FOLDS, SEEDS = 18, (1, 2, 3, 4, 5), (0, 1, 2)
VALIDATION_PEOPLE = 3
FLOORS = {"frame-only logistic regression": (), "causal linear": (5, 15, 45)}
REGULARISATION = (1e-1, 1e-2, 1e-3)

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Candidate:
    """Settings of a detector and of its training, one of those among which validation chooses."""

    plugin: str
    config: Mapping[str, Any]
    sampling: Mapping[str, Any]
    training: Mapping[str, Any]
    augmentation: Mapping[str, float]


@dataclass(frozen=True)
class Fold:
    """The videos of a fold: those to learn from, to choose on, and to test on."""

    train: list[LabelledVideo]
    validation: list[LabelledVideo]
    test: list[LabelledVideo]


@dataclass
class Run:
    """One training of a candidate in one fold with one seed.

    `validation` is the mAP on the videos held out, None where there are none: in what is trained last.
    """

    detector: str
    candidate: str
    fold: int
    seed: int
    validation: float | None
    parameters: int
    cpu_seconds: float


@dataclass
class Summary:
    """A method's figures, one of each for each seed."""

    pooled: list[FrameEvaluation] = field(default_factory=list)
    fold_means: list[float] = field(default_factory=list)


def training(name: str, rate: float, epochs: int, batch: int, decay: float) -> dict[str, Any]:
    return {
        "epochs": epochs,
        "batch_size": batch,
        "optimizer": {"name": name, "learning_rate": rate, "weight_decay": decay},
    }


def pieces(steps: int, scored: float = 1.0) -> dict[str, Any]:
    return {"window_steps": steps, "partial_windows": True, "scored_fraction": scored}


# Strengths of augmentation.
SOME = {"noise": 0.4, "shift": 0.6, "dropout": 0.25}
MORE = {"noise": 0.3, "shift": 0.8, "dropout": 0.35}

GRU = {"cell": "gru", "projection_size": 192, "hidden_size": 192, "dropout": 0.3}
MINIROAD = {"embedding_size": 128, "hidden_size": 128, "window_steps": 32, "dropout": 0.3}
A_STEP_AHEAD = {
    **{"feature_size": 128, "hidden_size": 128, "dropout": 0.3, "linear_std": 0.1},
    **{"decoder_steps": 1, "decoder_targets": "future", "decoder_weight": 0.3},
}
IDN = {"embedding_size": 64, "hidden_size": 64, "dropout": 0.3, "use_bias": True}
WITH_DECODER = {
    **{"window_steps": 48, "hidden_size": 64, "encoder_heads": 4, "encoder_layers": 1, "dropout": 0.1},
    **{"decoder_layers": 1, "decoder_steps": 2, "decoder_heads": 4, "decoder_weight": 0.2},
}
CONTINUAL = {
    **{"window_steps": 64, "hidden_size": 64, "encoder_heads": 4, "dropout": 0.1},
    **{"encoder_layers": 1, "continual": True},
}
WORK_OF_32 = {
    **{"work_steps": 32, "memory_steps": 64, "anticipation_steps": 0},
    **{"hidden_size": 96, "num_heads": 4, "feed_forward_size": 96},
    **{"memory_queries": 4, "encoder_queries": 4, "encoder_layers": 1, "decoder_layers": 1},
}

# The best of some tried by hand, by mAP on what folds 1, 3 and 5 hold out; docs/results.md tells which.
CANDIDATES: dict[str, dict[str, Candidate]] = {
    "rnn": {
        "some augmentation": Candidate("rnn", GRU, pieces(128), training("adam", 0.005, 22, 16, 1e-3), SOME),
        "more augmentation": Candidate("rnn", GRU, pieces(128), training("adam", 0.005, 22, 16, 1e-3), MORE),
    },
    "miniroad": {
        name: Candidate(
            "miniroad",
            MINIROAD | {"training_passes": "chunks"},
            pieces(128),
            training("adam", 0.004, 24, 8, 1e-3),
            augmentation,
        )
        for name, augmentation in (("some augmentation", SOME), ("more augmentation", MORE))
    },
    "trn": {
        name: Candidate("trn", A_STEP_AHEAD, pieces(96), training("adam", 0.006, 24, 16, 5e-4), augmentation)
        for name, augmentation in (("some augmentation", SOME), ("more augmentation", MORE))
    },
    "idn": {
        f"{steps} steps": Candidate(
            "idn",
            IDN | {"window_steps": steps},
            pieces(64, 0.1),
            training("adamw", 0.01, 40, 8, 0.5),
            SOME,
        )
        for steps in (40, 64)
    },
    "oadtr": {
        "some augmentation": Candidate(
            "oadtr",
            WITH_DECODER,
            pieces(48, 0.15),
            training("adamw", 0.005, 30, 16, 0.3),
            SOME | {"noise": 0.2},
        )
    },
    "oadtr continual": {
        "some augmentation": Candidate(
            "oadtr", CONTINUAL, pieces(64, 0.5), training("adamw", 0.01, 40, 16, 0.3), SOME | {"noise": 0.2}
        ),
        "more augmentation": Candidate(
            "oadtr", CONTINUAL, pieces(64, 0.5), training("adamw", 0.01, 40, 16, 0.3), MORE
        ),
    },
    "testra": {
        "dropout .3": Candidate(
            "testra", WORK_OF_32 | {"dropout": 0.3}, pieces(32), training("adam", 0.003, 28, 16, 3e-4), SOME
        ),
        "dropout .2": Candidate(
            "testra", WORK_OF_32 | {"dropout": 0.2}, pieces(32), training("adam", 0.003, 28, 16, 3e-4), MORE
        ),
    },
    "frame_only": {
        "noise": Candidate(
            "frame_only", {}, pieces(300), training("adamw", 0.01, 12, 8, 0.1), {"noise": 0.5}
        ),
        "augmentation": Candidate("frame_only", {}, pieces(300), training("adamw", 0.01, 30, 8, 1.0), SOME),
    },
    # What learning in chunks costs: the same but for the passes.
    "miniroad in windows": {
        "some augmentation": Candidate(
            "miniroad", MINIROAD, pieces(128, 0.1), training("adam", 0.004, 24, 8, 1e-3), SOME
        )
    },
}


def main() -> None:
    arguments = parse()
    torch.set_num_threads(1)
    videos = read_videos(arguments.scores)
    out: Path = arguments.out
    (out / "scores").mkdir(parents=True, exist_ok=True)
    if not arguments.table:
        for seed in numbers(arguments.seeds):
            for detector in arguments.only.split(","):
                for fold in numbers(arguments.folds):
                    if not scores_file(out, detector, fold, seed).is_file():
                        choose_and_score(detector, fold, seed, divide(videos, fold), out)
    print_table(out, videos)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scores", type=Path, help="the features and labels")
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", default=",".join(CANDIDATES), help="detectors, between commas")
    parser.add_argument("--folds", default=",".join(map(str, FOLDS)))
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--table", action="store_true", help="print what is there, and train nothing")
    return parser.parse_args()


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def read_videos(path: Path) -> dict[int, list[LabelledVideo]]:
    """The videos of each fold. Class 0 is the library's background, which this data does not have."""
    videos: dict[int, list[LabelledVideo]] = {fold: [] for fold in FOLDS}
    with np.load(path) as stored:
        for name in sorted({key.rpartition("/")[0] for key in stored.files}):
            labels = np.eye(NUM_CLASSES + 1, dtype=np.uint8)[stored[f"{name}/mid"] + 1]
            ignore = np.zeros(len(labels), np.bool_)
            videos[int(stored[f"{name}/split"])].append(
                LabelledVideo(name, stored[f"{name}/feat"].astype(np.float32), labels, ignore)
            )
    return videos


def divide(videos: Mapping[int, Sequence[LabelledVideo]], fold: int) -> Fold:
    """A person's videos, whose names begin alike, stay together."""
    known = [video for other in FOLDS if other != fold for video in videos[other]]
    people = sorted({person(video) for video in known})
    chosen = set(np.random.default_rng([fold, 0]).choice(people, VALIDATION_PEOPLE, replace=False))
    return Fold(
        [video for video in known if person(video) not in chosen],
        [video for video in known if person(video) in chosen],
        list(videos[fold]),
    )


def person(video: LabelledVideo) -> str:
    return video.name.partition("-")[0]


def choose_and_score(detector: str, number: int, seed: int, fold: Fold, out: Path) -> None:
    """Chooses a candidate by validation, trains it on everything, scores the test videos."""
    by_candidate = {
        one.candidate: one.validation
        for one in read_runs(out)
        if (one.detector, one.fold) == (detector, number) and one.validation is not None
    }
    offered = CANDIDATES[detector]
    for candidate in offered if len(offered) > 1 else ():
        if candidate not in by_candidate:
            _, run = train(detector, candidate, number, SEEDS[0], fold, out)
            by_candidate[candidate] = run.validation or 0.0
    chosen = max(offered, key=lambda candidate: by_candidate.get(candidate, 0.0))
    whole = Fold([*fold.train, *fold.validation], [], fold.test)
    saved, _ = train(detector, chosen, number, seed, whole, out)
    features = {video.name: video.features for video in fold.test}
    found = score_videos(load_detector(saved), features, features, torch.device("cpu"))
    with atomic_file(scores_file(out, detector, number, seed)) as path, path.open("wb") as file:
        np.savez(file, allow_pickle=False, **{one.video: one.scores[:, 1:] for one in found})


def train(detector: str, name: str, number: int, seed: int, fold: Fold, out: Path) -> tuple[SavedModel, Run]:
    candidate = CANDIDATES[detector][name]
    checkpoints = out / "checkpoints" / f"{detector}-{name}-{number}-{seed}"
    clear_checkpoints(checkpoints)
    settings = TrainingConfig.model_validate(
        {
            "schedule": {"name": "cosine"},
            "gradient_clip_norm": 1.0,
            **candidate.training,
            "seed": seed,
            "device": "cpu",
            "checkpoint_every_steps": 1_000_000,
            "checkpoint_directory": checkpoints,
            "monitor": "mean_average_precision",
            "monitor_mode": "max",
            "keep": "last",
        }
    )
    specification = DetectorSpecification(
        candidate.plugin,
        plugins.configure(DETECTORS, candidate.plugin, dict(candidate.config)),
        SamplingConfig.model_validate(candidate.sampling),
        True,
        AugmentationConfig(**candidate.augmentation),
    )
    started = time.process_time()
    names = ["none", *(f"class {number}" for number in range(NUM_CLASSES))]
    # The loop wants something to measure on; what it measures on a video it learns from is dropped.
    validation = fold.validation or fold.train[:1]
    saved, result = train_detector(specification, fold.train, validation, names, settings)
    run = Run(
        detector,
        name,
        number,
        seed,
        result.best_metrics["mean_average_precision"] if fold.validation else None,
        saved.metadata["num_parameters"],
        time.process_time() - started,
    )
    with (out / "runs.jsonl").open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(vars(run)) + "\n")
    clear_checkpoints(checkpoints)
    print(f"{detector}, {name}, fold {number}, seed {seed}: {run.validation}", flush=True)
    return saved, run


def read_runs(out: Path) -> list[Run]:
    path = out / "runs.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [Run(**json.loads(line)) for line in lines]


def scores_file(out: Path, detector: str, number: int, seed: int) -> Path:
    return out / "scores" / f"{detector}-{number}-{seed}.npz"


def print_table(out: Path, videos: Mapping[int, Sequence[LabelledVideo]]) -> None:
    print("| | mAP, pooled | mcAP, pooled | mAP, mean of folds | seeds | parameters | CPU seconds to train |")
    print("|---|---|---|---|---|---|---|")
    for name, means in FLOORS.items():
        print(f"| {name} | {row(summarise([fitted(videos, means)], videos))} | | | |")
    runs = read_runs(out)
    for detector, candidates in CANDIDATES.items():
        seeds = [
            seed for seed in SEEDS if all(scores_file(out, detector, fold, seed).is_file() for fold in FOLDS)
        ]
        ours = [one for one in runs if one.detector == detector]
        if seeds:
            summary = summarise([load_scores(out, detector, seed) for seed in seeds], videos)
            final = [one for one in ours if one.validation is None]
            parameters = statistics.median(one.parameters for one in final)
            seconds = statistics.median(one.cpu_seconds for one in final)
            print(f"| `{detector}` | {row(summary)} | {len(seeds)} | {parameters:,.0f} | {seconds:.0f} |")
            for name in candidates:
                tried = [
                    one.validation for one in ours if one.candidate == name and one.validation is not None
                ]
                times = sum(one.candidate == name for one in final)
                found = f"mAP {statistics.fmean(tried):.3f} on validation, " if tried else ""
                print(f"|   {name} | {found}chosen {times} times | | | | | |")


def load_scores(out: Path, detector: str, seed: int) -> dict[str, Floats]:
    scores: dict[str, Floats] = {}
    for fold in FOLDS:
        with np.load(scores_file(out, detector, fold, seed)) as stored:
            scores |= {name: stored[name] for name in stored.files}
    return scores


def summarise(
    seeds: Sequence[Mapping[str, Floats]], videos: Mapping[int, Sequence[LabelledVideo]]
) -> Summary:
    summary = Summary()
    for scores in seeds:
        summary.pooled.append(evaluate(scores, [video for fold in FOLDS for video in videos[fold]]))
        summary.fold_means.append(
            statistics.fmean(evaluate(scores, videos[fold]).mean_average_precision for fold in FOLDS)
        )
    return summary


def evaluate(scores: Mapping[str, Floats], videos: Sequence[LabelledVideo]) -> FrameEvaluation:
    labels = np.concatenate([video.labels[:, 1:] for video in videos]) > 0
    return evaluate_frames(labels, np.concatenate([scores[video.name] for video in videos]), background=None)


def row(summary: Summary) -> str:
    columns = (
        [one.mean_average_precision for one in summary.pooled],
        [one.mean_calibrated_average_precision for one in summary.pooled],
        summary.fold_means,
    )
    return " | ".join(mean_and_spread(column) for column in columns)


def mean_and_spread(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{spread}"


def fitted(videos: Mapping[int, Sequence[LabelledVideo]], means: Sequence[int]) -> dict[str, Floats]:
    """The test scores of logistic regressions of frames and their causal means."""
    scores: dict[str, Floats] = {}
    for number in FOLDS:
        fold = divide(videos, number)
        by_strength = {
            strength: evaluate(
                predict(regression(fold.train, means, strength), fold.validation, means), fold.validation
            ).mean_average_precision
            for strength in REGULARISATION
        }
        best = max(by_strength, key=by_strength.__getitem__)
        whole = regression([*fold.train, *fold.validation], means, best)
        scores |= predict(whole, fold.test, means)
    return scores


def regression(videos: Sequence[LabelledVideo], means: Sequence[int], strength: float) -> LogisticRegression:
    inputs = np.concatenate([with_means(video.features, means) for video in videos])
    classes = np.concatenate([video.labels[:, 1:].argmax(axis=1) for video in videos])
    return LogisticRegression(C=strength, max_iter=2000).fit(inputs, classes)


def predict(
    model: LogisticRegression, videos: Sequence[LabelledVideo], means: Sequence[int]
) -> dict[str, Floats]:
    return {video.name: model.predict_proba(with_means(video.features, means)) for video in videos}


def with_means(features: Floats, means: Sequence[int]) -> Floats:
    """Features beside their means over the last so many steps, fewer at the start: `[T, D (1 + means)]`."""
    sums = np.concatenate([np.zeros((1, features.shape[1])), np.cumsum(features, axis=0, dtype=np.float64)])
    last = np.arange(1, len(features) + 1)
    parts = [features.astype(np.float64)]
    for steps in means:
        first = np.maximum(0, last - steps)
        parts.append((sums[last] - sums[first]) / (last - first)[:, None])
    return np.concatenate(parts, axis=1)


if __name__ == "__main__":
    main()
