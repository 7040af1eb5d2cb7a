"""The nodes of downstream."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from prolepsis.pipelines.downstream.params import METHODS, DownstreamParams


def prepare_tasks(documents: pl.LazyFrame, parameters: DownstreamParams) -> pl.DataFrame:
    """Reads the tasks' files, cuts the passages of those that are made of the corpus, and checks them all.

    Returns:
        A row for each example of each task.
    """
    from prolepsis.errors import ProlepsisError
    from prolepsis.text.downstream.corpus_tasks import corpus_task
    from prolepsis.text.downstream.readers import read_task
    from prolepsis.text.downstream.tasks import examples_table

    made = [
        read_task(name, config, parameters.seed)
        if config.corpus is None
        else corpus_task(name, config, documents, parameters.seed)
        for name, config in parameters.chosen_tasks.items()
    ]
    tasks = [task for task in made if task is not None]
    if not tasks:
        raise ProlepsisError(
            "No task is left: the corpus gives none of those that were to be made of it.",
            where="downstream.tasks",
            remedy="write a task of your own, or leave the pipeline 'downstream' out",
        )
    return examples_table(tasks)


def fine_tune_encoders(
    downstream_examples: pl.DataFrame, bert_model: Any, parameters: DownstreamParams
) -> tuple[pl.DataFrame, Iterator[tuple[str, bytes]], list[dict[str, Any]]]:
    """Fine-tunes the encoder and its untrained twin on each task, once for each seed.

    Returns:
        The predictions; the files of one model per task (the pretrained encoder with the seed that is best on
        validation); and a row of curves per task, method, seed and epoch.
    """
    from prolepsis.text.downstream.config import ENCODER, UNTRAINED_ENCODER, run_training
    from prolepsis.text.downstream.evaluation import predictions_table
    from prolepsis.text.downstream.fine_tuning import fine_tune

    predictions, curves, chosen = [], [], {}
    for task in _tasks(downstream_examples, parameters):
        config = parameters.chosen_tasks[task.name]
        best = -float("inf")
        for method in METHODS:
            for seed in parameters.seeds:
                training = run_training(parameters.training_of(config), task.name, method, seed)
                tuned = fine_tune(
                    bert_model,
                    task,
                    parameters.fine_tuning_of(config),
                    training,
                    from_scratch=method == UNTRAINED_ENCODER,
                )
                predictions.append(predictions_table(task.name, method, seed, tuned.predictions))
                run = {"task": task.name, "method": method, "seed": seed}
                curves += [run | row for row in tuned.curves]
                if method == ENCODER and tuned.best_metrics["validation_score"] > best:
                    best = tuned.best_metrics["validation_score"]
                    chosen[task.name] = tuned.model
    files = ((f"{name}/{file}", content) for name, model in chosen.items() for file, content in model.files())
    return pl.concat(predictions), files, curves


def run_baselines(
    downstream_examples: pl.DataFrame, word_vectors: Any, tokenizer: Any, parameters: DownstreamParams
) -> pl.DataFrame:
    """What the simple methods say; `tokenizer` is the one that the word vectors are of."""
    from prolepsis.text.downstream.baselines import run_baselines as run
    from prolepsis.text.downstream.evaluation import predictions_table
    from prolepsis.training.progress import track

    return pl.concat(
        predictions_table(task.name, method, None, predictions)
        for task in track(_tasks(downstream_examples, parameters), "Running baselines", unit="tasks")
        for method, predictions in run(task, parameters.baselines, word_vectors, tokenizer).items()
    )


def gather_predictions(baseline_predictions: pl.DataFrame, encoder_predictions: pl.DataFrame) -> pl.DataFrame:
    """All predictions in one table, those of the simple methods first."""
    return pl.concat([baseline_predictions, encoder_predictions])


def evaluate_downstream(
    downstream_examples: pl.DataFrame, downstream_predictions: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:
    """The scores of each run, the classes apart, and the means with their deviations."""
    from prolepsis.text.downstream import evaluation

    scores = evaluation.scores_table(downstream_examples, downstream_predictions)
    classes = evaluation.per_class_table(downstream_examples, downstream_predictions)
    return scores, classes, evaluation.metrics(downstream_examples, scores)


def draw_downstream(downstream_metrics: dict[str, Any]) -> Any:
    """A bar for each method on each task's test split, with its deviation."""
    from prolepsis.text.downstream.pictures import draw_comparison

    return draw_comparison(downstream_metrics)


def _tasks(examples: pl.DataFrame, parameters: DownstreamParams) -> list[Any]:
    from prolepsis.text.downstream.tasks import tasks_of

    return tasks_of(examples, {name: task.labels for name, task in parameters.chosen_tasks.items()})
