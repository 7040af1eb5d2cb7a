"""Every pretraining objective at one small size, for equal compute, and what its encoder is worth afterwards.

    python benchmarks/bert_family.py OUT --texts BOOKS.parquet WIKIPEDIA.parquet --labelled FOLDER \\
        [--teraflop 24] [--only roberta,electra] [--threads 1]
    python benchmarks/bert_family.py OUT --table

Books are divided by the book: every twentieth is for validation. Each objective is given the same number of
floating-point operations (the products of forward and backward, counted on a batch) on the same tokens, with
the same recipe; its encoder is then fine-tuned with three seeds on SST-2, RTE and part-of-speech tags
(FOLDER has sst2_{train,dev,test}.tsv, rte.zip and en_lines-ud-{train,dev,test}.conllu), at the learning rate
that is best on validation with the first seed.
Beside them: the same encoder without pretraining, TF-IDF and word vectors with logistic regression.

What is finished lies in OUT and is not done again, so several processes may share the work with --only; let
one of them run alone until it says "corpus ready".
"""

import argparse
import json
import statistics
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch

from prolepsis.plugins import load
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.heads import BertForPretraining
from prolepsis.text.bert.hugging_face import PretrainedBert
from prolepsis.text.bert.pretraining import PretrainingTask, pretrain, token_counts
from prolepsis.text.downstream.baselines import run_baselines
from prolepsis.text.downstream.config import (
    BaselineConfig,
    FineTuningConfig,
    FineTuningTraining,
    Kind,
    TaskConfig,
)
from prolepsis.text.downstream.evaluation import predictions_table, scores_table, summary
from prolepsis.text.downstream.fine_tuning import evaluate_encoder
from prolepsis.text.downstream.metrics import MAIN_METRIC
from prolepsis.text.downstream.readers import read_task
from prolepsis.text.downstream.tasks import DownstreamTask, examples_table
from prolepsis.text.token_shards import TokenShards, write_token_shards
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.tokenizers.encoding import encode
from prolepsis.text.tokenizers.wordpiece import WordPieceTrainer
from prolepsis.text.word2vec.config import Word2VecConfig
from prolepsis.text.word2vec.training import train_word_vectors
from prolepsis.training.checkpoint import clear_checkpoints
from prolepsis.training.config import OptimizerConfig, ScheduleConfig, TrainingConfig

LENGTH, ROWS, EPOCHS = 128, 16, 5
VOCABULARY, SENTINELS = 8000, 32
OBJECTIVES: dict[str, dict[str, Any]] = {
    "mlm_nsp": {},
    "whole_word": {},
    "roberta": {},
    "albert_sop": {},
    "spanbert": {},
    "electra": {},
    "mass": {"sample_break_mode": "complete"},  # of single sentences the later positions would learn nothing
    "bart": {},
    "t5": {"with_cls": True},  # so that all encoders are given what fine-tuning gives them
}
ALBERT_FORM = {"embedding_size": 64, "num_hidden_groups": 1}
SEEDS = (0, 1, 2)
# What suits an encoder depends on how large pretraining left its weights.
LEARNING_RATES = (5e-4, 1e-3, 2e-3, 4e-3)
UNTRAINED, TF_IDF_AND_VECTORS = "without pretraining", "simple methods"
MAX_STEPS = {"sst2": 500, "rte": 100, "pos": 400}


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    out: Path = arguments.out
    if not arguments.table:
        tokenizer, tokens = corpus(out, arguments.texts or [])
        print("corpus ready", flush=True)
        tasks = labelled_tasks(arguments.labelled, out)
        chosen = arguments.only.split(",") if arguments.only else [*OBJECTIVES, UNTRAINED, TF_IDF_AND_VECTORS]
        for name in chosen:
            if name == TF_IDF_AND_VECTORS:
                score_simple_methods(out, tokenizer, tokens, tasks)
            elif name == UNTRAINED:
                shape = BertForPretraining(encoder_config("roberta", tokenizer), with_sentence_pairs=False)
                score_encoder(out, UNTRAINED, PretrainedBert.of(shape, tokenizer), tasks)
            else:
                score_encoder(out, name, pretrained(out, name, tokenizer, tokens, arguments), tasks)
    print_table(out)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--texts", type=Path, nargs="*", help="Parquet files with a column `text`")
    parser.add_argument("--labelled", type=Path, help="the folder of labelled data")
    parser.add_argument("--teraflop", type=float, default=24.0, help="of each pretraining")
    parser.add_argument("--only", help="names, between commas")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="print what is there, and do nothing")
    return parser.parse_args()


def corpus(out: Path, files: list[Path]) -> tuple[Tokenizer, TokenShards]:
    """The tokenizer and the tokens of all texts, made once."""
    if not (out / "tokens").is_dir():
        frame = pl.DataFrame(list(documents(files)), schema=["id", "text", "split"], orient="row")
        train = frame.filter(split="train")["text"].to_list()
        trainer = WordPieceTrainer(WordPieceTrainer.Config(vocabulary_size=VOCABULARY))
        tokenizer = trainer.train([train])
        tokenizer.save(out / "tokenizer")
        columns = {"language": pl.lit("en"), "num_bytes": pl.col("text").str.len_bytes()}
        write_token_shards(out / "tokens", encode(frame.lazy().with_columns(**columns), tokenizer))
    return Tokenizer.load(out / "tokenizer"), TokenShards.open(out / "tokens")


def documents(files: list[Path]) -> Iterator[tuple[str, str, str]]:
    for file in files:
        for number, text in enumerate(pl.read_parquet(file, columns=["text"])["text"]):
            yield f"{file.stem}-{number}", text, "val" if number % 20 == 0 else "train"


def labelled_tasks(folder: Path, out: Path) -> list[DownstreamTask]:
    pairs = out / "rte"
    if not pairs.is_dir():
        with zipfile.ZipFile(folder / "rte.zip") as archive:
            archive.extractall(pairs)
    rte = {part: [pairs / "rte" / f"rte{i}_{part}.xml" for i in (1, 2, 3)] for part in ("dev", "test")}
    lines = {split: {"path": folder / f"en_lines-ud-{split}.conllu"} for split in ("train", "dev", "test")}
    sentences = {
        split: {"path": folder / f"sst2_{split}.tsv", "columns": {"text": column}}
        for split, column in (("train", "sentence"), ("dev", "content"), ("test", "content"))
    }
    configs: dict[str, dict[str, Any]] = {
        "sst2": {
            "kind": "sequence_classification",
            **{"train": sentences["train"], "validation": sentences["dev"], "test": sentences["test"]},
        },
        # Development pairs are what the three challenges had for training; a tenth of them is set aside.
        "rte": {
            "kind": "sequence_pair_classification",
            **{"train": {"path": rte["dev"]}, "test": {"path": rte["test"]}},
        },
        "pos": {
            "kind": "token_tagging",
            **{"train": lines["train"], "validation": lines["dev"], "test": lines["test"]},
        },
    }
    return [read_task(name, TaskConfig.model_validate(config), 0) for name, config in configs.items()]


def encoder_config(name: str, tokenizer: Tokenizer) -> BertConfig:
    form = ALBERT_FORM if name == "albert_sop" else {}
    return BertConfig(
        vocab_size=tokenizer.vocabulary_size + SENTINELS,
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=512,
        norm_first=True,
        position_embedding_type="rotary",  # learned positions stay on the plateau of token frequencies
        max_position_embeddings=LENGTH,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **form,
    )


def pretrained(
    out: Path, name: str, tokenizer: Tokenizer, tokens: TokenShards, arguments: argparse.Namespace
) -> PretrainedBert:
    folder = out / "models" / name
    if folder.is_dir():
        return PretrainedBert.load(folder)
    plugin = load("prolepsis.pretraining_objectives", name)
    known = plugin.Config.model_fields
    options = {"max_length": LENGTH, "output_bias": "token_frequencies", **OBJECTIVES[name]}
    objective = plugin(
        plugin.Config(**{key: value for key, value in options.items() if key in known}), tokenizer
    )
    config = encoder_config(name, tokenizer)
    work = work_of_a_step(objective, config, tokens, settings(out, name, 1))
    steps_per_epoch = max(1, round(arguments.teraflop * 1e12 / work / EPOCHS))
    training = settings(out, name, steps_per_epoch)
    started = time.process_time()
    result = pretrain(
        tokenizer, tokens, objective, config, training, steps_per_epoch=steps_per_epoch, validation_rows=256
    )
    figures = {
        **result.metrics,
        "teraflop": arguments.teraflop,
        "cpu_minutes": (time.process_time() - started) / 60,
    }
    result.model.save(folder)
    (out / f"{name}.pretraining.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    clear_checkpoints(training.checkpoint_directory)
    return result.model


def settings(out: Path, name: str, steps_per_epoch: int) -> TrainingConfig:
    return TrainingConfig(
        epochs=EPOCHS,
        batch_size=ROWS,
        optimizer=OptimizerConfig(
            name="muon",
            learning_rate=1e-2,
            adamw_learning_rate=3e-3,
            weight_decay=0.1,
            exclude_norm_and_bias=True,
        ),
        schedule=ScheduleConfig(name="linear", warmup_steps=EPOCHS * steps_per_epoch // 20),
        gradient_clip_norm=1.0,
        device="cpu",
        precision="bf16",
        checkpoint_every_steps=100_000,
        checkpoint_directory=out / "checkpoints" / name,
        monitor="validation_loss",
        monitor_mode="min",
    )


def work_of_a_step(
    objective: Any, config: BertConfig, tokens: TokenShards, training: TrainingConfig
) -> float:
    """Floating-point operations of a training step, by a mean over a few batches."""
    counts = token_counts(tokens.split("train"), tokens.vocabulary_size)
    model = objective.build_model(config, counts).train()
    task = PretrainingTask(objective, model, tokens, training, steps_per_epoch=8, validation_rows=8)
    return statistics.fmean(task.work(part.batch, torch.device("cpu")) for part in task.batches(0, 0))


def fine_tuned(
    out: Path, name: str, encoder: PretrainedBert, task: DownstreamTask, rate: float, seeds: Sequence[int]
) -> pl.DataFrame:
    """The scores of one learning rate, a row per seed, split and metric."""
    training = FineTuningTraining(
        epochs=5,
        batch_size=32,
        optimizer=OptimizerConfig(
            name="adamw", learning_rate=rate, weight_decay=0.01, exclude_norm_and_bias=True
        ),
        schedule=ScheduleConfig(name="linear", warmup_steps=MAX_STEPS[task.name] // 10),
        gradient_clip_norm=1.0,
        device="cpu",
        checkpoint_every_steps=100_000,
        checkpoint_directory=out / "checkpoints" / "downstream",
    )
    config = FineTuningConfig(max_length=96, pooling="mean", max_steps=MAX_STEPS[task.name])
    scores = evaluate_encoder(
        encoder, task, seeds, training, config=config, method=name, from_scratch=name == UNTRAINED
    )
    return scores.with_columns(learning_rate=rate)


def score_encoder(out: Path, name: str, encoder: PretrainedBert, tasks: list[DownstreamTask]) -> None:
    """The learning rate is the best on validation with the first seed; the others follow at that one."""
    for task in tasks:
        file = out / f"{name}.{task.name}.parquet"
        if file.is_file():
            continue
        first = [fine_tuned(out, name, encoder, task, rate, SEEDS[:1]) for rate in LEARNING_RATES]
        chosen = max(first, key=lambda scores: validation_score(scores, task))
        rate = chosen["learning_rate"][0]
        pl.concat([chosen, fine_tuned(out, name, encoder, task, rate, SEEDS[1:])]).write_parquet(file)
        print(
            name,
            task.name,
            f"done at {rate:g} of",
            *(f"{validation_score(s, task):.3f}" for s in first),
            flush=True,
        )


def validation_score(scores: pl.DataFrame, task: DownstreamTask) -> float:
    return float(scores.filter(split="validation", metric=MAIN_METRIC[task.kind])["value"].item())


def score_simple_methods(
    out: Path, tokenizer: Tokenizer, tokens: TokenShards, tasks: list[DownstreamTask]
) -> None:
    file = out / f"{TF_IDF_AND_VECTORS}.parquet"
    if file.is_file():
        return
    config = Word2VecConfig(dimension=128, epochs=3, checkpoint_directory=out / "checkpoints" / "word2vec")
    vectors = train_word_vectors(tokenizer, tokens, config).vectors
    predictions = [
        predictions_table(task.name, method, None, said)
        for task in tasks
        for method, said in run_baselines(task, BaselineConfig(), vectors, tokenizer).items()
    ]
    scores_table(examples_table(tasks), pl.concat(predictions)).write_parquet(file)


def print_table(out: Path) -> None:
    scores = pl.concat([pl.read_parquet(file) for file in sorted(out.glob("*.parquet"))], how="diagonal")
    main: dict[str, Kind] = {
        "sst2": "sequence_classification",
        "rte": "sequence_pair_classification",
        "pos": "token_tagging",
    }
    rows = summary(scores).filter(split="test")
    cells: dict[str, dict[str, str]] = {}
    for row in rows.iter_rows(named=True):
        if row["metric"] == MAIN_METRIC[main[row["task"]]]:
            deviation = "" if row["deviation"] is None else f" ± {100 * row['deviation']:.1f}"
            cells.setdefault(row["method"], {})[row["task"]] = f"{100 * row['mean']:.1f}{deviation}"
    print(
        "| | parameters | CPU minutes | steps | real tokens/s | real share | own loss | bits/byte "
        "| SST-2 | RTE | POS |"
    )
    print(f"|{'---|' * 11}")
    for name, by_task in cells.items():
        file = out / f"{name}.pretraining.json"
        figures = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        print(
            f"| {name} | {shown(figures.get('num_encoder_parameters'), ',.0f')} "
            f"| {shown(figures.get('cpu_minutes'), '.1f')} "
            f"| {shown(figures.get('steps'), ',.0f')} "
            f"| {shown(real_tokens_per_second(figures), ',.0f')} "
            f"| {shown(figures.get('real_token_share'), '.1%')} "
            f"| {shown(figures.get('validation_masked_loss'), '.2f')} "
            f"| {shown(figures.get('bits_per_byte'), '.2f')} "
            f"| {' | '.join(by_task.get(task, '') for task in main)} |"
        )


def real_tokens_per_second(figures: dict[str, Any]) -> float | None:
    """Tokens that training read and that are not padding, by the CPU seconds of all the pretraining.

    Those that a decoder reads are not counted; the seconds of the validations are.
    """
    needed = ("steps", "real_token_share", "cpu_minutes")
    if any(figures.get(name) is None for name in needed):
        return None
    steps, share, minutes = (float(figures[name]) for name in needed)
    return steps * ROWS * LENGTH * share / (60 * minutes)


def shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


if __name__ == "__main__":
    main()
