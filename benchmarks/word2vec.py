"""Words per CPU second of skip-gram here and in gensim: same corpus, same settings, runs taken in turn.

    python benchmarks/word2vec.py TEXT.txt [--megabytes 20] [--rounds 3] [--threads 1]

Both count every word of the file, once per epoch, and the CPU time of all threads of the process during
training alone: gensim's vocabulary is built and this project's kernel compiled before. gensim reads the text
as it trains (`corpus_file`, its fastest way); here ids are mapped from token shards, which tokenization has
written.
"""

import argparse
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import gensim
import numpy as np

from prolepsis.text.token_shards import TokenizedDocuments, TokenShards, TokenStream, write_token_shards
from prolepsis.text.word2vec.blocks import Blocks, Rates, initial_tables
from prolepsis.text.word2vec.config import Word2VecConfig
from prolepsis.text.word2vec.cpu_engine import CpuEngine
from prolepsis.text.word2vec.vocabulary import Vocabulary

DIMENSION, WINDOW, NEGATIVES, MIN_COUNT, SUBSAMPLE, RATE = 96, 5, 5, 5, 1e-3, 0.025


def paragraphs(file: Path, megabytes: float) -> Iterator[list[str]]:
    with file.open(encoding="utf-8") as text:
        content = text.read(int(megabytes * 1e6)).lower()
    for paragraph in content.split("\n\n"):
        words = re.findall(r"[^\W\d_]+|\d+|[^\w\s]", paragraph)
        if words:
            yield words


def shards_of(sentences: list[list[str]], directory: Path) -> TokenShards:
    counts = Counter(word for sentence in sentences for word in sentence)
    ids = {word: number for number, (word, _) in enumerate(counts.most_common())}
    batch = TokenizedDocuments(
        "train",
        [str(number) for number in range(len(sentences))],
        [None] * len(sentences),
        [np.array([ids[word] for word in sentence]) for sentence in sentences],
        [np.zeros(1, np.int32)] * len(sentences),
    )
    write_token_shards(directory, TokenStream([batch], len(ids), "benchmark", {}))
    return TokenShards.open(directory)


def trainer_of_gensim(file: Path, num_words: int, threads: int) -> Callable[[], None]:
    model = gensim.models.Word2Vec(
        vector_size=DIMENSION,
        window=WINDOW,
        negative=NEGATIVES,
        min_count=MIN_COUNT,
        sample=SUBSAMPLE,
        alpha=RATE,
        sg=1,
        workers=threads,
    )
    model.build_vocab(corpus_file=str(file))
    return lambda: model.train(
        corpus_file=str(file), total_examples=model.corpus_count, total_words=num_words, epochs=1
    )


def trainer_of_prolepsis(shards: TokenShards, threads: int) -> Callable[[], None]:
    from concurrent.futures import ThreadPoolExecutor

    train = shards.split("train")
    config = Word2VecConfig(
        dimension=DIMENSION,
        window=WINDOW,
        negatives=NEGATIVES,
        subsample=SUBSAMPLE,
        checkpoint_directory=Path("unused"),
    )
    vocabulary = Vocabulary.count(train, shards.vocabulary_size, MIN_COUNT, [])
    tables = initial_tables(len(vocabulary.ids), DIMENSION, 0)
    engine = CpuEngine(vocabulary, config, tables)
    blocks = Blocks(train)
    engine.run(blocks[0], Rates(), 0)  # compiles

    def run() -> None:
        with ThreadPoolExecutor(threads) as executor:
            rates = Rates(RATE, 0.0, 0.0)
            list(executor.map(lambda block: engine.run(block, rates, block.number), blocks.shuffled(0)))

    return run


def measure(train: Callable[[], None]) -> tuple[float, float]:
    """CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    train()
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--megabytes", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    sentences = list(paragraphs(arguments.text, arguments.megabytes))
    num_words = sum(map(len, sentences))
    print(f"{num_words:,} words, {arguments.threads} threads, gensim {gensim.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.txt"
        corpus.write_text("\n".join(" ".join(sentence) for sentence in sentences), encoding="utf-8")
        shards = shards_of(sentences, Path(folder) / "tokens")
        del sentences
        trainers = {
            "gensim": trainer_of_gensim(corpus, num_words, arguments.threads),
            "prolepsis": trainer_of_prolepsis(shards, arguments.threads),
        }
        rates: dict[str, list[float]] = {name: [] for name in trainers}
        for number in range(arguments.rounds):
            for name, train in trainers.items():
                cpu, wall = measure(train)
                rates[name].append(num_words / cpu)
                print(
                    f"round {number + 1}  {name:10} {num_words / cpu:12,.0f} words per CPU second"
                    f" {num_words / wall:12,.0f} words per second"
                )
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(f"ratio of medians: {medians['prolepsis'] / medians['gensim']:.2f}")


if __name__ == "__main__":
    main()
