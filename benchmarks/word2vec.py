"""word2vec here and in gensim: same corpus, same settings, one epoch in turn, each in a process of its own.

    python benchmarks/word2vec.py TEXT [--megabytes 10] [--rounds 3] [--threads 2] [--forms skip_gram,cbow]
    python benchmarks/word2vec.py TEXT --quality --megabytes 50 --epochs 2 --seeds 3
    python benchmarks/word2vec.py TEXT --memory --megabytes 50

TEXT is a text file, or a Parquet file with a column `text`; each paragraph is a document. The tokenizer
`word_level` cuts it into words, every one of which has an id, and both read these.

Both count every word of the file, once per epoch, and the CPU time of all threads of the process during
training alone: gensim's vocabulary is built and this project's kernel compiled before. Scores beyond ±6 give
no step in both (`saturation: gensim`, which is not this project's default). gensim reads the text
as it trains (`corpus_file`, its fastest way); here ids are read from token shards, which tokenization has
written. With more than one thread, this project also trains with one, in the same turns, and the ratio of
wall times is told: what other processes leave of a CPU shows in the CPU seconds per second beside it.

Peak memory is that of the whole process with all that it imports (Linux). `--memory` tells that of
`train_word_vectors` too, which besides counts the words and writes a checkpoint for each epoch, and that of
the same process when it has also exported the vectors.
"""

import argparse
import multiprocessing
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

DIMENSION, WINDOW, NEGATIVES, MIN_COUNT, SUBSAMPLE = 96, 5, 5, 5, 1e-3
FORMS = {
    "skip_gram": ("skip_gram", "negative_sampling"),
    "cbow": ("cbow", "negative_sampling"),
    "skip_gram_tree": ("skip_gram", "hierarchical_softmax"),
    "cbow_tree": ("cbow", "hierarchical_softmax"),
}
SETS = {
    "wordsim353": "gensim:test/test_data/wordsim353.tsv",
    "simlex999": "gensim:test/test_data/simlex999.txt",
    "analogies": "gensim:test/test_data/questions-words.txt",
}
RESTRICT_TO = 30_000
ALONE = "prolepsis, alone"


@dataclass(frozen=True)
class Task:
    """What a process trains, and on what."""

    form: str
    folder: Path
    num_words: int
    threads: int
    epochs: int = 1
    seed: int = 0

    @property
    def config(self) -> Any:
        from prolepsis.text.word2vec.config import Word2VecConfig

        model, output = FORMS[self.form]
        return Word2VecConfig(
            model=model,
            output=output,
            dimension=DIMENSION,
            window=WINDOW,
            negatives=NEGATIVES,
            min_count=MIN_COUNT,
            subsample=SUBSAMPLE,
            # gensim passes over scores beyond ±6, where word2vec.c takes a full step.
            saturation="gensim",
            epochs=self.epochs,
            seed=self.seed,
            checkpoint_directory=Path("unused"),
        )


Trainer = tuple[Callable[[], None], Callable[[], dict[str, float | None]]]


def paragraphs(file: Path, megabytes: float) -> list[str]:
    contents = _texts(file, int(megabytes * 1e6))
    return [paragraph for content in contents for paragraph in content.split("\n\n")]


def word_tokenizer(texts: list[str]) -> Any:
    """A tokenizer that knows every word of the texts."""
    from prolepsis.text.tokenizers.word_level import WordLevelTrainer

    config = WordLevelTrainer.Config(min_frequency=1, special_tokens={"unk": "[UNK]"})
    trainer = WordLevelTrainer(config)
    counts = trainer.count([texts])
    (tokenizer,) = trainer.train_many(counts, [counts.height + len(config.special_tokens)])
    return tokenizer


def _texts(file: Path, characters: int) -> Iterator[str]:
    if file.suffix != ".parquet":
        with file.open(encoding="utf-8") as text:
            yield text.read(characters)
        return
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(file).iter_batches(8, columns=["text"]):
        for text in batch.column("text").to_pylist():
            yield text[:characters]
            characters -= len(text)
            if characters <= 0:
                return


def write_corpus(file: Path, megabytes: float, folder: Path) -> int:
    """Writes the corpus as lines of words and as token shards; returns the number of words."""
    from prolepsis.text.token_shards import (
        TokenizedDocuments,
        TokenizedPart,
        TokenStream,
        write_token_shards,
    )

    texts = paragraphs(file, megabytes)
    tokenizer = word_tokenizer(texts)
    names = tokenizer.words()
    # Unknown is only what is too long to be a word.
    known = (ids[ids != tokenizer.unk_id] for ids in tokenizer.encode_batch(texts))
    sentences = [ids for ids in known if len(ids)]
    batch = TokenizedDocuments(
        "train",
        [str(number) for number in range(len(sentences))],
        [None] * len(sentences),
        sentences,
        [np.zeros(1, np.int32)] * len(sentences),
    )
    few = TokenizedDocuments(
        "val", batch.ids[:99], batch.languages[:99], batch.tokens[:99], batch.sentence_starts[:99]
    )
    part = TokenizedPart("all", lambda: [batch, few])
    write_token_shards(folder / "tokens", TokenStream([part], len(names), "benchmark", {}))
    lines = "\n".join(" ".join(names[number] for number in sentence) for sentence in sentences)
    (folder / "corpus.txt").write_text(lines, encoding="utf-8")
    (folder / "words.txt").write_text("\n".join(names), encoding="utf-8")
    return sum(map(len, sentences))


def trainer_of_gensim(task: Task) -> Trainer:
    import gensim

    config, file = task.config, str(task.folder / "corpus.txt")
    tree = config.output == "hierarchical_softmax"
    model = gensim.models.Word2Vec(
        vector_size=DIMENSION,
        window=WINDOW,
        negative=0 if tree else NEGATIVES,
        hs=int(tree),
        min_count=MIN_COUNT,
        sample=SUBSAMPLE,
        alpha=config.first_rate,
        sg=int(config.model == "skip_gram"),
        workers=task.threads,
        seed=task.seed + 1,
    )
    model.build_vocab(corpus_file=file)

    def train() -> None:
        model.train(
            corpus_file=file,
            total_examples=model.corpus_count,
            total_words=task.num_words,
            epochs=task.epochs,
        )

    return train, lambda: scores(model.wv.index_to_key, model.wv.vectors)


def trainer_of_prolepsis(task: Task) -> Trainer:
    from prolepsis.text.token_shards import TokenShards
    from prolepsis.text.word2vec.blocks import Blocks, Rates, initial_tables
    from prolepsis.text.word2vec.cpu_engine import CpuEngine
    from prolepsis.text.word2vec.training import training_tasks
    from prolepsis.text.word2vec.vocabulary import Vocabulary

    config = task.config
    shards = TokenShards.open(task.folder / "tokens")
    split = shards.split("train")
    vocabulary = Vocabulary.count(split, shards.vocabulary_size, MIN_COUNT, [])
    tables = initial_tables(len(vocabulary.ids), DIMENSION, task.seed)
    engine = CpuEngine(vocabulary, config, tables)
    blocks = Blocks(split)
    engine.run(blocks[0], Rates(), 0)  # compiles

    def work() -> Iterator[tuple[Any, Any, int]]:
        for epoch in range(task.epochs):
            yield from training_tasks(blocks, config, split.num_tokens, epoch)

    def train() -> None:
        waiting, lock = work(), Lock()

        def take_blocks() -> None:
            while True:
                with lock:
                    arguments = next(waiting, None)
                if arguments is None:
                    return
                engine.run(*arguments)

        with ThreadPoolExecutor(task.threads) as executor:
            for future in [executor.submit(take_blocks) for _ in range(task.threads)]:
                future.result()

    words = (task.folder / "words.txt").read_text(encoding="utf-8").split("\n")
    return train, lambda: scores([words[i] for i in vocabulary.ids], engine.tables()[0])


TRAINERS = {"gensim": trainer_of_gensim, "prolepsis": trainer_of_prolepsis}


def scores(words: list[str], table: Any) -> dict[str, float | None]:
    """The scores of vectors, most frequent word first, by this project's evaluation for both."""
    from prolepsis.text.word2vec.evaluation import locate_evaluation_set, score_analogies, score_similarity
    from prolepsis.text.word2vec.vectors import WordVectors

    vectors = WordVectors(words, np.zeros(len(words), np.int64), [None] * len(words), table)
    files = {name: locate_evaluation_set(reference) for name, reference in SETS.items()}
    found = {name: score_similarity(vectors, files[name])["spearman"] for name in ("wordsim353", "simlex999")}
    return {**found, "analogies": score_analogies(vectors, files["analogies"], RESTRICT_TO)["accuracy"]}


def peak_memory() -> float:
    """MiB of this process on Linux. (getrusage's figure is the parent's where that was larger.)"""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")


def serve(name: str, task: Task, pipe: Connection) -> None:
    """Answers each request of `train` with CPU and wall seconds, of `scores`, and of `memory` with MiB."""
    train, score = TRAINERS[name](task)
    pipe.send("ready")
    while (request := pipe.recv()) != "end":
        if request == "train":
            cpu, wall = time.process_time(), time.perf_counter()
            train()
            pipe.send((time.process_time() - cpu, time.perf_counter() - wall))
        elif request == "scores":
            pipe.send(score())
        else:
            pipe.send(peak_memory())


class Worker:
    """A process with one trainer."""

    def __init__(self, name: str, task: Task) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=serve, args=(name, task, other), daemon=True)
        self._process.start()
        other.close()
        self._pipe.recv()

    def ask(self, request: str) -> Any:
        self._pipe.send(request)
        return self._pipe.recv()

    def close(self) -> None:
        self._pipe.send("end")
        self._process.join()


@dataclass
class Figures:
    """What the rounds of one trainer took."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def rates(self, num_words: int) -> list[float]:
        """Words per CPU second of each round, slowest first."""
        return sorted(num_words / seconds for seconds in self.cpu)

    def used(self) -> float:
        """The median of CPU seconds per second: the threads, if nobody else wanted the CPUs."""
        return statistics.median(cpu / wall for cpu, wall in zip(self.cpu, self.wall, strict=True))


def compare_speed(task: Task, rounds: int) -> None:
    workers = {name: Worker(name, task) for name in TRAINERS}
    if task.threads > 1:
        workers[ALONE] = Worker("prolepsis", Task(**{**vars(task), "threads": 1}))
    figures = {name: Figures() for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            cpu, wall = worker.ask("train")
            figures[name].cpu.append(cpu)
            figures[name].wall.append(wall)
    for name, worker in workers.items():
        rates, wall = figures[name].rates(task.num_words), statistics.median(figures[name].wall)
        print(
            f"{task.form:15} {name:16} {statistics.median(rates):11,.0f}"
            f" ({rates[0]:,.0f} to {rates[-1]:,.0f}) words per CPU second,"
            f" {task.num_words / wall:11,.0f} per second at {figures[name].used():.2f}"
            f" CPUs, {worker.ask('memory'):4,.0f} MiB"
        )
        worker.close()
    ours, theirs = (statistics.median(figures[name].cpu) for name in ("prolepsis", "gensim"))
    print(f"{task.form:15} prolepsis is {theirs / ours:.2f} times as fast by CPU seconds", flush=True)
    if task.threads > 1:
        # Round by round, since what else runs on the machine changes from one to the next.
        pairs = zip(figures[ALONE].wall, figures["prolepsis"].wall, strict=True)
        ratios = sorted(one / many for one, many in pairs)
        print(
            f"{task.form:15} {task.threads} threads are {statistics.median(ratios):.2f}"
            f" ({ratios[0]:.2f} to {ratios[-1]:.2f}) times as fast as one by wall time",
            flush=True,
        )


def compare_quality(task: Task, seeds: int) -> None:
    for name in TRAINERS:
        found: dict[str, list[float]] = {}
        for seed in range(seeds):
            worker = Worker(name, Task(**{**vars(task), "seed": seed}))
            worker.ask("train")
            for key, value in worker.ask("scores").items():
                found.setdefault(key, []).append(float("nan") if value is None else value)
            worker.close()
        figures = ", ".join(
            f"{key} {np.mean(values):.4f} ± {np.std(values):.4f}" for key, values in found.items()
        )
        print(f"{task.form:15} {name:10} {figures}", flush=True)


def compare_memory(task: Task) -> None:
    """Peak memory of gensim's training, and of all that a user of this project's library sets going."""
    worker = Worker("gensim", task)
    worker.ask("train")
    print(f"{task.form:15} gensim             {worker.ask('memory'):4,.0f} MiB")
    worker.close()
    worker = Worker("prolepsis", task)
    worker.ask("train")
    print(f"{task.form:15} prolepsis          {worker.ask('memory'):4,.0f} MiB")
    worker.close()
    command = [sys.executable, __file__, "--library", task.form, str(task.folder), str(task.threads)]
    peaks = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    for stage, peak in zip(("train_word_vectors", "and export"), peaks, strict=True):
        print(f"{task.form:15} {stage:18} {float(peak):4,.0f} MiB", flush=True)


def train_by_the_library(form: str, folder: Path, threads: int) -> None:
    """`train_word_vectors` as a user calls it, on the CPU; prints the peak memory of it, and with export."""
    from prolepsis.text.token_shards import TokenShards
    from prolepsis.text.word2vec.training import train_word_vectors

    class Words:
        """What training asks of a tokenizer."""

        hash = "benchmark"

        def words(self) -> list[str]:
            return (folder / "words.txt").read_text(encoding="utf-8").split("\n")

    task = Task(form, folder, 0, threads)
    changes = {"threads": threads, "epochs": 1, "device": "cpu", "checkpoint_directory": folder / "run"}
    config = task.config.model_copy(update=changes)
    trained = train_word_vectors(Words(), TokenShards.open(folder / "tokens"), config)
    print(peak_memory())
    trained.vectors.save(folder / "vectors")
    shutil.rmtree(folder / "run")
    print(peak_memory())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--megabytes", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of both")
    parser.add_argument("--forms", default="skip_gram,cbow,skip_gram_tree")
    parser.add_argument("--quality", action="store_true", help="scores instead of speed")
    parser.add_argument("--memory", action="store_true", help="peak memory instead of speed")
    parser.add_argument("--epochs", type=int, default=2, help="of --quality")
    parser.add_argument("--seeds", type=int, default=3, help="of --quality")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        num_words = write_corpus(arguments.text, arguments.megabytes, folder)
        print(f"{num_words:,} words, {arguments.threads} threads, {DIMENSION} dimensions", flush=True)
        for form in arguments.forms.split(","):
            task = Task(form, folder, num_words, arguments.threads)
            if arguments.quality:
                compare_quality(Task(**{**vars(task), "epochs": arguments.epochs}), arguments.seeds)
            elif arguments.memory:
                compare_memory(task)
            else:
                compare_speed(task, arguments.rounds)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--library"]:
        train_by_the_library(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
