"""Real tokens per second of masked-token training, here and in transformers as its run_mlm example trains.

    python benchmarks/bert.py TEXT.parquet [--documents 4000] [--steps 5] [--rounds 3]

The same model size, vocabulary, documents (column `text`), rows per step and row length; AdamW and clipping;
steps of the three ways taken in turn, so that whatever else the machine does falls on all of them:

* prolepsis: segment pairs packed into rows, outputs at hidden tokens only, next-sentence head included;
* padded: transformers' BertForMaskedLM and DataCollatorForLanguageModeling, a document to a row
  (run_mlm's `line_by_line`), padded to the longest of the batch;
* concatenated: the same, with all documents joined and cut into rows (run_mlm's default).

A real token is one that is not padding. Rates are per second of CPU time, all threads together, which other
load on the machine disturbs less than the clock on the wall.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
import transformers

from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.hugging_face import PretrainedBert
from prolepsis.text.bert.objectives.mlm_nsp import MaskedLanguageModelNextSentence
from prolepsis.text.bert.pretraining import token_counts
from prolepsis.text.token_shards import TokenShards, TokenSplit, write_token_shards
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.tokenizers.encoding import encode
from prolepsis.text.tokenizers.wordpiece import WordPieceTrainer
from prolepsis.training.config import OptimizerConfig
from prolepsis.training.optimizers import build_optimizer

LENGTH = 128
Step = Callable[[], int]  # trains once and says on how many real tokens


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--documents", type=int, default=4000)
    parser.add_argument("--vocabulary", type=int, default=8000)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--rows", type=int, default=32, help="rows in a step")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=5, help="steps of each way in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)

    texts = pl.read_parquet(arguments.text)["text"].head(arguments.documents).to_list()
    trainer = WordPieceTrainer(WordPieceTrainer.Config(vocabulary_size=arguments.vocabulary))
    tokenizer = trainer.train([texts])
    config = BertConfig(
        vocab_size=tokenizer.vocabulary_size,
        hidden_size=arguments.width,
        num_hidden_layers=arguments.layers,
        num_attention_heads=arguments.width // 64,
        intermediate_size=4 * arguments.width,
        max_position_embeddings=LENGTH,
        hidden_dropout_prob=arguments.dropout,
        attention_probs_dropout_prob=arguments.dropout,
    )
    with tempfile.TemporaryDirectory() as name:
        split = encoded(texts, tokenizer, Path(name) / "tokens")
        ways = {
            "prolepsis": packed_steps(split, tokenizer, config, arguments.rows),
            **transformers_steps(split, tokenizer, config, arguments.rows, Path(name) / "model"),
        }
        print(
            f"torch {torch.__version__}, transformers {transformers.__version__}, "
            f"{arguments.threads} threads, "
            f"{arguments.layers} layers of {arguments.width}, vocabulary {config.vocab_size}, "
            f"{arguments.rows} rows of {LENGTH}, dropout {arguments.dropout}"
        )
        rates = measure(ways, arguments.steps, arguments.rounds)
    for name, measured in rates.items():
        print(f"{name:<14}{statistics.median(measured):>10,.0f} real tokens per CPU second")
    for name in ("padded", "concatenated"):
        ratios = [ours / theirs for ours, theirs in zip(rates["prolepsis"], rates[name], strict=True)]
        print(
            f"prolepsis / {name:<14}{statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def measure(ways: dict[str, Step], steps: int, rounds: int) -> dict[str, list[float]]:
    """Real tokens per CPU second of each way, a figure per round, after a step to warm up."""
    for step in ways.values():
        step()
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, step in ways.items():
            started = time.process_time()
            tokens = sum(step() for _ in range(steps))
            rates[name].append(tokens / (time.process_time() - started))
    return rates


def encoded(texts: list[str], tokenizer: Tokenizer, directory: Path) -> TokenSplit:
    columns = {"id": [str(i) for i in range(len(texts))], "text": texts, "language": "en", "split": "train"}
    documents = pl.LazyFrame(columns).with_columns(num_bytes=pl.col("text").str.len_bytes())
    write_token_shards(directory, encode(documents, tokenizer))
    return TokenShards.open(directory).split("train")


def packed_steps(split: TokenSplit, tokenizer: Tokenizer, config: BertConfig, rows: int) -> Step:
    objective = MaskedLanguageModelNextSentence(
        MaskedLanguageModelNextSentence.Config(max_length=LENGTH), tokenizer
    )
    model = objective.build_model(config, token_counts(split, tokenizer.vocabulary_size))
    update = updater(model)
    plan = objective.plan(split, seed=0, pass_index=0)
    print(f"packed rows are {plan.num_real_tokens / (len(plan) * LENGTH):.1%} real tokens")
    numbers = cycle(np.arange(len(plan)), rows)

    def step() -> int:
        batch = plan.batch(next(numbers))
        update(objective.measure(model, batch).loss)
        return batch.num_real_tokens

    return step


def transformers_steps(
    split: TokenSplit, tokenizer: Tokenizer, config: BertConfig, rows: int, folder: Path
) -> dict[str, Step]:
    """The two ways of run_mlm. Its tokens are those of the shards, framed by [CLS] and [SEP]."""
    objective = MaskedLanguageModelNextSentence(MaskedLanguageModelNextSentence.Config(), tokenizer)
    untrained = objective.build_model(config, np.zeros(0, np.int64))
    PretrainedBert(untrained, tokenizer).save(folder)
    collator = transformers.DataCollatorForLanguageModeling(
        transformers.AutoTokenizer.from_pretrained(folder), mlm_probability=0.15, seed=0
    )
    first, last = tokenizer.special_ids["cls"], tokenizer.special_ids["sep"]
    documents = [[first, *split.document(i).tolist(), last] for i in range(split.num_documents)]
    lines = [
        [*document[: LENGTH - 1], last] if len(document) > LENGTH else document for document in documents
    ]
    joined = [token for document in documents for token in document]
    blocks = [joined[i : i + LENGTH] for i in range(0, len(joined) - LENGTH + 1, LENGTH)]
    lengths = np.array([len(line) for line in lines])
    print(f"padded rows are {lengths.mean() / LENGTH:.1%} real tokens of {LENGTH}")
    return {
        "padded": transformers_step(folder, collator, lines, rows),
        "concatenated": transformers_step(folder, collator, blocks, rows),
    }


def transformers_step(folder: Path, collator: Any, rows_of_tokens: list[list[int]], rows: int) -> Step:
    model = transformers.BertForMaskedLM.from_pretrained(folder).train()
    update = updater(model)
    numbers = cycle(np.random.default_rng(0).permutation(len(rows_of_tokens)), rows)

    def step() -> int:
        chosen = [rows_of_tokens[number] for number in next(numbers)]
        batch = collator([{"input_ids": row} for row in chosen])
        update(model(**batch).loss)
        return sum(map(len, chosen))

    return step


def updater(model: torch.nn.Module) -> Callable[[torch.Tensor], None]:
    optimizer = build_optimizer(model, OptimizerConfig(name="adamw", learning_rate=1e-4, weight_decay=0.01))

    def update(loss: torch.Tensor) -> None:
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return update


def cycle(numbers: Any, rows: int) -> Iterator[Any]:
    while True:
        for start in range(0, len(numbers) - rows + 1, rows):
            yield numbers[start : start + rows]


if __name__ == "__main__":
    main()
