from pathlib import Path

import polars as pl
import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.text.tokenizers.texts import TrainingTexts, document_batches


def corpus(folder: Path, texts: list[str], splits: list[str] | None = None, shards: int = 3) -> pl.LazyFrame:
    frame = pl.DataFrame(
        {
            "id": [f"document-{i}" for i in range(len(texts))],
            "text": texts,
            "split": splits or ["train"] * len(texts),
            "num_bytes": [len(text.encode()) for text in texts],
        },
        schema={"id": pl.String, "text": pl.String, "split": pl.String, "num_bytes": pl.UInt32},
    )
    folder.mkdir(exist_ok=True)
    rows = max(1, -(-len(texts) // shards))
    for i in range(shards):
        frame.slice(i * rows, rows).write_parquet(folder / f"part-{i:05d}.parquet")
    return pl.scan_parquet(folder / "part-*.parquet")


def read(texts: TrainingTexts) -> list[str]:
    return [text for batch in texts for text in batch]


def test_batches_hold_all_documents_in_order(tmp_path: Path) -> None:
    texts = [f"text {i} " + "x" * 100_000 for i in range(120)]
    frames = list(document_batches(corpus(tmp_path, texts), ["id", "text"]))
    assert pl.concat(frames)["text"].to_list() == texts
    assert len(frames) >= 3
    assert all(frame["text"].str.len_bytes().sum() < 6_000_000 for frame in frames)


def test_long_documents_beside_many_short_ones_do_not_make_a_large_batch(tmp_path: Path) -> None:
    texts = ["short"] * 4_000 + ["x" * 3_000_000] * 8
    frames = list(document_batches(corpus(tmp_path, texts), ["id", "text"]))
    assert pl.concat(frames)["text"].to_list() == texts
    assert all(frame.columns == ["id", "text"] for frame in frames)
    assert max(frame["text"].str.len_bytes().sum() for frame in frames) < 9_000_000


def test_only_the_train_split_is_read_as_often_as_asked(tmp_path: Path) -> None:
    documents = corpus(tmp_path, ["a", "b", "c", "d"], ["train", "val", "train", "val"])
    texts = TrainingTexts(documents)
    assert read(texts) == read(texts) == ["a", "c"]


def test_a_sample_has_about_the_bytes_asked_for_and_repeats_with_its_seed(tmp_path: Path) -> None:
    documents = corpus(tmp_path, [f"{i:05d}" * 20 for i in range(5_000)])
    sample = read(TrainingTexts(documents, sample_bytes=100_000, seed=3))
    assert sum(map(len, sample)) == pytest.approx(100_000, rel=0.15)
    assert read(TrainingTexts(documents, sample_bytes=100_000, seed=3)) == sample
    other = read(TrainingTexts(documents, sample_bytes=100_000, seed=4))
    assert len(set(sample) & set(other)) < len(sample) / 2
    assert sum(map(len, read(TrainingTexts(documents, sample_bytes=10**9)))) == 5_000 * 100


def test_a_sample_depends_on_names_and_not_on_order(tmp_path: Path) -> None:
    documents = corpus(tmp_path, [f"{i:05d}" for i in range(1_000)])
    backwards = documents.sort("id", descending=True)
    sample = read(TrainingTexts(documents, sample_bytes=1_000))
    assert sorted(read(TrainingTexts(backwards, sample_bytes=1_000))) == sorted(sample)


@pytest.mark.parametrize("splits", [[], ["val", "val"]])
def test_a_corpus_without_training_documents_is_refused(tmp_path: Path, splits: list[str]) -> None:
    documents = corpus(tmp_path, ["a"] * len(splits), splits or None)
    with pytest.raises(ProlepsisError, match="no document"):
        read(TrainingTexts(documents))


def test_the_refusal_reaches_whoever_trains(tmp_path: Path) -> None:
    from prolepsis.text.tokenizers.byte_bpe import ByteLevelBytePairTrainer

    trainer = ByteLevelBytePairTrainer(ByteLevelBytePairTrainer.Config(vocabulary_size=300))
    with pytest.raises(ProlepsisError, match="no document"):
        trainer.train(TrainingTexts(corpus(tmp_path, ["a"], ["val"])))
