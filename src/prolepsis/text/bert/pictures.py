"""Pictures of a pretraining run."""

from matplotlib.figure import Figure


def draw_losses(curves: list[dict[str, float]]) -> Figure:
    """The loss on hidden tokens against steps, in training and validation, and the unigram entropy.

    Args:
        curves: a row per epoch with `step`, `train_masked_loss`, `validation_masked_loss`, and
            `unigram_entropy` where the loss compares with it.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    steps = [row["step"] for row in curves]
    axes.plot(
        steps, [row["train_masked_loss"] for row in curves], marker="o", label="training, mean of the epoch"
    )
    axes.plot(steps, [row["validation_masked_loss"] for row in curves], marker="o", label="validation")
    entropy = curves[-1].get("unigram_entropy")
    if entropy is not None:
        label = "unigram entropy: token frequencies alone"
        axes.axhline(entropy, color="gray", linestyle="--", label=label)
    axes.set(title="BERT: loss on hidden tokens", xlabel="optimizer step", ylabel="nats per token")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
