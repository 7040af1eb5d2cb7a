"""A picture of a pretraining: how the loss fell, and what the features are worth."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PROBES = ("knn", "linear")
_BAR = 0.38


def draw_pretraining(curves: Sequence[Mapping[str, float]], metrics: Mapping[str, Any]) -> "Figure":
    """The loss of each epoch; and mean average precision with the trained and with the untrained network.

    Args:
        curves: `epoch`, `train_loss`, `validation_loss`.
        metrics: of `moco_metrics`: probe, split, network, and `chance`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_losses(left, curves)
    _draw_probes(right, metrics)
    return figure


def _draw_losses(axes: "Axes", curves: Sequence[Mapping[str, float]]) -> None:
    epochs = [row["epoch"] for row in curves]
    for name, label in (("train_loss", "training, mean of the epoch"), ("validation_loss", "validation")):
        axes.plot(epochs, [row[name] for row in curves], marker="o", label=label)
    axes.set(title="Contrastive loss", xlabel="epoch", ylabel="nats per query")
    axes.grid(alpha=0.3)
    axes.legend()


def _draw_probes(axes: "Axes", metrics: Mapping[str, Any]) -> None:
    splits = list(metrics["chance"])
    groups = [(probe, split) for probe in _PROBES for split in splits]
    for shift, network in ((-_BAR / 2, "untrained"), (_BAR / 2, "trained")):
        values = [metrics[probe][split][network]["mean_average_precision"] for probe, split in groups]
        bars = axes.bar(
            [place + shift for place in range(len(groups))], values, _BAR, label=f"{network} backbone"
        )
        axes.bar_label(bars, fmt="%.3f", padding=2)
    for place, (_, split) in enumerate(groups):
        chance = metrics["chance"][split]
        label = "chance" if place == 0 else ""
        axes.hlines(chance, place - _BAR, place + _BAR, color="black", linestyle="--", label=label)
    axes.set_xticks(range(len(groups)), [f"{probe}, {split}" for probe, split in groups])
    axes.set(title="Frozen features", ylabel="per-frame mAP")
    axes.margins(y=0.15)
    axes.legend()
