"""Masked-token training here and in transformers as its run_mlm example trains: speed, and what is learnt.

    python benchmarks/bert.py TEXT.parquet [--documents 4000] [--steps 4] [--rounds 5]
    python benchmarks/bert.py TEXT.parquet --quality --tokens 3000000 [--seeds 1]
    python benchmarks/bert.py TEXT.parquet --device cuda --layers 12 --width 768 --length 512 --rows 64

The same model, vocabulary, documents (column `text`), rows per step and row length; AdamW and clipping. Steps
of all ways are taken in turn, so that whatever else the machine does falls on each:

* prolepsis: the objective `roberta`, examples packed into rows, outputs at hidden tokens only;
* padded: transformers' BertForMaskedLM and DataCollatorForLanguageModeling, a document to a row
  (run_mlm's `line_by_line`), padded to the longest of the batch;
* concatenated: the same, with all documents joined and cut into rows (run_mlm's default);

* fewer_rows (with --quality alone): prolepsis with as many rows as hold what is real in a padded batch, so
  that it takes as many steps as the padded way for the same tokens;

each in float32 and under bfloat16 autocast. The peer's loop is what Trainer does in a step (fused AdamW,
clipping at 1) without its bookkeeping. A real token is one that is not padding. On a CPU rates are per second
of CPU time, all threads together, which other load on the machine disturbs less than the clock on the wall.
"""

import argparse
import copy
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
import transformers

from prolepsis.text.bert.attention import without_flex_attention
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.evaluation import predict_hidden_tokens
from prolepsis.text.bert.hugging_face import PretrainedBert, load_hugging_face
from prolepsis.text.bert.objectives.roberta import RobertaObjective
from prolepsis.text.token_shards import TokenShards, TokenSplit, write_token_shards
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.tokenizers.encoding import encode
from prolepsis.text.tokenizers.wordpiece import WordPieceTrainer
from prolepsis.training.arithmetic import count_products, peak_rate
from prolepsis.training.device import autocast

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PEERS = ("padded", "concatenated")
WAYS = ("prolepsis", *PEERS, "fewer_rows")
WARMUP_SHARE = 0.1
WARMUP_STEPS = 10  # of compiled models: padded rows have several lengths
Batches = Iterator[tuple[Any, int]]  # what a model is given, and its real tokens


@dataclass(frozen=True)
class Setting:
    """What all ways have in common."""

    tokenizer: Tokenizer
    split: TokenSplit
    config: BertConfig
    rows: int
    length: int
    device: torch.device
    folder: Path  # the untrained model that all begin with


class Trainer:
    """A model in training, one step after the other."""

    def __init__(
        self, model: Any, loss: Callable[[Any, Any], Any], batches: Batches, setting: Setting
    ) -> None:
        self.model = model.to(setting.device).train()
        self.loss = loss
        self.batches = batches
        self.device = setting.device
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=1e-4, weight_decay=0.01, fused=setting.device.type in ("cpu", "cuda")
        )

    def step(self, dtype: torch.dtype, learning_rate: float = 1e-4) -> int:
        """Trains once and says on how many real tokens."""
        batch, tokens = next(self.batches)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        with autocast(self.device, dtype):
            loss = self.loss(self.model, batch.to(self.device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return tokens


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    table = pl.read_parquet(arguments.text, columns=["text"])["text"]
    texts = list(itertools.islice(pieces(table), arguments.documents))
    trainer = WordPieceTrainer(WordPieceTrainer.Config(vocabulary_size=arguments.vocabulary))
    tokenizer = trainer.train([texts])
    config = BertConfig(
        vocab_size=tokenizer.vocabulary_size,
        hidden_size=arguments.width,
        num_hidden_layers=arguments.layers,
        num_attention_heads=arguments.width // 64,
        intermediate_size=4 * arguments.width,
        max_position_embeddings=arguments.length,
        hidden_dropout_prob=arguments.dropout,
        attention_probs_dropout_prob=arguments.dropout,
    )
    print(
        f"torch {torch.__version__}, transformers {transformers.__version__}, {arguments.threads} threads, "
        f"{arguments.device}, {arguments.layers} layers of {arguments.width}, "
        f"vocabulary {config.vocab_size}, {arguments.rows} rows of {arguments.length}, "
        f"dropout {arguments.dropout}"
    )
    with tempfile.TemporaryDirectory() as name:
        shards = encoded(texts, tokenizer, Path(name) / "tokens")
        setting = Setting(
            tokenizer,
            shards.split("train"),
            config,
            arguments.rows,
            arguments.length,
            torch.device(arguments.device),
            Path(name) / "model",
        )
        save_untrained(setting)
        if arguments.quality:
            compare_quality(setting, shards.split("val"), arguments)
        else:
            compare_speed(setting, arguments)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--documents", type=int, default=4000)
    parser.add_argument("--vocabulary", type=int, default=8000)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--rows", type=int, default=32, help="rows in a step")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=4, help="steps of each way in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="compile both models")
    parser.add_argument("--quality", action="store_true", help="the loss after equal tokens instead of speed")
    parser.add_argument("--tokens", type=int, default=3_000_000, help="of --quality")
    parser.add_argument("--seeds", type=int, default=1, help="of --quality")
    parser.add_argument("--ways", default=",".join(WAYS), help="of --quality, between commas")
    parser.add_argument("--learning-rate", type=float, default=5e-4, help="of --quality")
    return parser.parse_args()


def pieces(table: pl.Series) -> Iterator[str]:
    """The texts; whole books in pieces of about 3,000 characters, so that they are documents as any."""
    for text in table:
        start = 0
        while start < len(text):
            stop = text.find("\n\n", start + 3000)
            stop = len(text) if stop < 0 else stop
            yield text[start:stop]
            start = stop


def encoded(texts: list[str], tokenizer: Tokenizer, directory: Path) -> TokenShards:
    """The texts as token shards, every twentieth for validation."""
    splits = ["val" if number % 20 == 0 else "train" for number in range(len(texts))]
    columns = {"id": [str(i) for i in range(len(texts))], "text": texts, "language": "en", "split": splits}
    documents = pl.LazyFrame(columns).with_columns(num_bytes=pl.col("text").str.len_bytes())
    write_token_shards(directory, encode(documents, tokenizer))
    return TokenShards.open(directory)


def objective_of(setting: Setting) -> RobertaObjective:
    # run_mlm cuts rows anywhere too.
    config = RobertaObjective.Config(max_length=setting.length, sample_break_mode="none")
    return RobertaObjective(config, setting.tokenizer)


def save_untrained(setting: Setting) -> None:
    model = objective_of(setting).build_model(setting.config, np.zeros(0, np.int64))
    PretrainedBert.of(model, setting.tokenizer).save(setting.folder)


def trainer_here(setting: Setting, seed: int, compiled: bool, rows: int | None = None) -> Trainer:
    rows = rows or setting.rows
    objective = objective_of(setting)
    model = load_hugging_face(setting.folder)
    if compiled:
        model.encoder.compile(dynamic=False)

    def batches() -> Batches:
        for pass_index in itertools.count():
            plan = objective.plan(setting.split, seed, pass_index)
            for start in range(0, len(plan) - rows + 1, rows):
                batch = plan.batch(np.arange(start, start + rows))
                yield batch, batch.num_real_tokens

    return Trainer(model, lambda model, batch: objective.measure(model, batch).loss, batches(), setting)


def trainer_there(setting: Setting, way: str, seed: int, compiled: bool) -> Trainer:
    """run_mlm's rows. Its tokens are those of the shards, framed by [CLS] and [SEP]."""
    special, split = setting.tokenizer.special_ids, setting.split
    documents = [
        [special["cls"], *split.document(i).tolist(), special["sep"]] for i in range(split.num_documents)
    ]
    length = setting.length
    if way == "padded":
        rows = [[*d[: length - 1], special["sep"]] if len(d) > length else d for d in documents]
    else:
        joined = [token for document in documents for token in document]
        rows = [joined[i : i + length] for i in range(0, len(joined) - length + 1, length)]
    collator = transformers.DataCollatorForLanguageModeling(
        transformers.AutoTokenizer.from_pretrained(setting.folder), mlm_probability=0.15, seed=seed
    )
    model = transformers.BertForMaskedLM.from_pretrained(setting.folder)
    if compiled:
        model = torch.compile(model)

    def batches() -> Batches:
        random = np.random.default_rng(seed)
        while True:
            order = random.permutation(len(rows))
            for start in range(0, len(order) - setting.rows + 1, setting.rows):
                chosen = [rows[number] for number in order[start : start + setting.rows]]
                yield collator([{"input_ids": row} for row in chosen]), sum(map(len, chosen))

    return Trainer(model, lambda model, batch: model(**batch).loss, batches(), setting)


def trainers(setting: Setting, seed: int, compiled: bool = False) -> dict[str, Trainer]:
    there = {way: trainer_there(setting, way, seed, compiled) for way in PEERS}
    return {"prolepsis": trainer_here(setting, seed, compiled), **there}


def trainer_of(way: str, setting: Setting, seed: int) -> Trainer:
    if way in PEERS:
        return trainer_there(setting, way, seed, compiled=False)
    rows = rows_of_a_padded_batch(setting) if way == "fewer_rows" else setting.rows
    return trainer_here(setting, seed, compiled=False, rows=rows)


def rows_of_a_padded_batch(setting: Setting) -> int:
    """How many full rows the tokens of a padded batch fill on average."""
    lengths = [len(setting.split.document(number)) + 2 for number in range(setting.split.num_documents)]
    return round(setting.rows * float(np.minimum(lengths, setting.length).mean()) / setting.length)


def compare_speed(setting: Setting, arguments: argparse.Namespace) -> None:
    ways = trainers(setting, 0, arguments.compile)
    rates: dict[tuple[str, str], list[float]] = {}
    for dtype in PRECISIONS.values():
        for trainer in ways.values():
            for _ in range(WARMUP_STEPS if arguments.compile else 1):
                trainer.step(dtype)
    for _ in range(arguments.rounds):
        for precision, dtype in PRECISIONS.items():
            for way, trainer in ways.items():
                started = now(setting.device)
                tokens = sum(trainer.step(dtype) for _ in range(arguments.steps))
                seconds = now(setting.device) - started
                rates.setdefault((way, precision), []).append(tokens / seconds)
    kind = "CPU second" if setting.device.type == "cpu" else "second"
    for (way, precision), measured in rates.items():
        print(f"{way:<14}{precision:<10}{statistics.median(measured):>10,.0f} real tokens per {kind}")
    for precision, peer in itertools.product(PRECISIONS, PEERS):
        pairs = zip(rates["prolepsis", precision], rates[peer, precision], strict=True)
        ratios = [ours / theirs for ours, theirs in pairs]
        print(
            f"prolepsis / {peer:<14}{precision:<10}{statistics.median(ratios):5.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )
    threads = arguments.threads if setting.device.type == "cpu" else 1
    work = {way: work_per_token(trainer) for way, trainer in ways.items()}
    for (way, precision), measured in rates.items():
        peak = peak_rate(setting.device, PRECISIONS[precision])
        utilisation = statistics.median(measured) * work[way] * threads / peak
        print(f"{way:<14}{precision:<10}model FLOP utilisation {utilisation:.0%}")


def work_per_token(trainer: Trainer) -> float:
    """Floating-point operations of forward and backward per real token of a batch, products alone."""
    batch, tokens = next(trainer.batches)
    with torch.no_grad(), without_flex_attention():
        forward = count_products(lambda: trainer.loss(trainer.model, batch.to(trainer.device)))
    return 3 * forward / tokens


def now(device: torch.device) -> float:
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def compare_quality(setting: Setting, validation: TokenSplit, arguments: argparse.Namespace) -> None:
    """The loss on the same hidden tokens after equally many real tokens, from the same untrained weights."""
    found: dict[str, list[float]] = {}
    ways = arguments.ways.split(",")
    for seed in range(arguments.seeds):
        torch.manual_seed(seed)
        for way in ways:
            trainer = trainer_of(way, setting, seed)
            seen = steps = 0
            while seen < arguments.tokens:
                done = seen / arguments.tokens
                factor = min(done / WARMUP_SHARE, (1 - done) / (1 - WARMUP_SHARE))
                seen += trainer.step(torch.float32, arguments.learning_rate * max(factor, 1e-3))
                steps += 1
            loss = validation_loss(trainer.model, setting, validation)
            found.setdefault(way, []).append(loss)
            print(f"seed {seed}, {way:<14}{loss:.4f} nats, {seen:,} real tokens, {steps:,} steps", flush=True)
    for ours, theirs in itertools.product(set(ways) - set(PEERS), set(ways) & set(PEERS)):
        print(f"{ours} - {theirs:<14}{np.mean(found[ours]) - np.mean(found[theirs]):+.4f}")


def validation_loss(model: Any, setting: Setting, validation: TokenSplit) -> float:
    if not hasattr(model, "predict_masked"):
        folder = setting.folder.with_name("trained")
        copy.deepcopy(model).cpu().save_pretrained(folder)
        model = load_hugging_face(folder)
    figures = predict_hidden_tokens(
        model, setting.tokenizer, validation, max_length=setting.length, max_rows=2000, batch_size=32
    )
    return float(np.log(figures["pseudo_perplexity"]))


if __name__ == "__main__":
    main()
