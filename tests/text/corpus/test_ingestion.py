import gzip
import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from prolepsis.errors import ProlepsisError
from prolepsis.text.corpus.config import IngestionConfig
from prolepsis.text.corpus.ingestion import DOCUMENTS, DROPPED, IngestedCorpus, ingest_corpus, split_of

QUALITY = {"plugin": "gopher_quality", "config": {"min_words": 3, "min_stop_words": 0}}
DUPLICATES = [{"plugin": "exact_duplicates"}, {"plugin": "near_duplicates"}]


def ingest(folder: Path, *filters: dict[str, Any], **config: Any) -> IngestedCorpus:
    return ingest_corpus(folder, IngestionConfig.model_validate({"filters": list(filters), **config}))


def kept(corpus: IngestedCorpus) -> pl.DataFrame:
    return pl.concat(corpus.documents)


def dropped(corpus: IngestedCorpus) -> pl.DataFrame:
    return pl.concat(corpus.dropped)


def write_jsonl(path: Path, *texts: str, **more: Any) -> None:
    path.write_bytes(b"".join(json.dumps({"text": text, **more}).encode() + b"\n" for text in texts))


def test_documents_carry_their_file_their_place_in_it_and_their_size(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write_jsonl(tmp_path / "sub" / "a.jsonl", "Die Größe zählt.", "zwei\r\nZeilen")
    (tmp_path / "b.txt").write_text("A whole file.")

    corpus = ingest(tmp_path)

    frame = kept(corpus)
    assert frame.schema == DOCUMENTS
    assert frame.drop("split").rows(named=True) == [
        {
            "id": "b.txt",
            "text": "A whole file.",
            "language": "und",
            "source": "b.txt",
            "num_characters": 13,
            "num_words": 3,
            "num_bytes": 13,
        },
        {
            "id": "sub/a.jsonl#1",
            "text": "Die Größe zählt.",
            "language": "und",
            "source": "sub/a.jsonl",
            "num_characters": 16,
            "num_words": 3,
            "num_bytes": 19,
        },
        {
            "id": "sub/a.jsonl#2",
            "text": "zwei\nZeilen",
            "language": "und",
            "source": "sub/a.jsonl",
            "num_characters": 11,
            "num_words": 2,
            "num_bytes": 11,
        },
    ]


def test_every_document_is_kept_or_dropped_with_its_reason_and_the_waterfall_adds_up(tmp_path: Path) -> None:
    long = " ".join(f"{a}{b}{a}" for a in "abcdefgh" for b in "ijklmnop")
    write_jsonl(tmp_path / "a.jsonl", "too short", long, "another text of words", "", long, f"{long} more")

    corpus = ingest(tmp_path, QUALITY, *DUPLICATES)

    assert kept(corpus)["id"].to_list() == ["a.jsonl#2", "a.jsonl#3"]
    assert dropped(corpus).schema == DROPPED
    assert dropped(corpus).select("id", "filter", "reason").rows() == [
        ("a.jsonl#4", "reading", "empty"),
        ("a.jsonl#1", "gopher_quality", "gopher_short_doc"),
        ("a.jsonl#5", "exact_duplicates", "exact_duplicate"),
        ("a.jsonl#6", "near_duplicates", "near_duplicate"),
    ]
    assert corpus.waterfall.select("step", "filter", "documents_before", "documents_after").rows() == [
        (0, "reading", 6, 5),
        (1, "gopher_quality", 5, 4),
        (2, "exact_duplicates", 4, 3),
        (3, "near_duplicates", 3, 2),
    ]
    assert corpus.waterfall["bytes_after"][:-1].to_list() == corpus.waterfall["bytes_before"][1:].to_list()
    assert corpus.waterfall["bytes_after"][-1] == kept(corpus)["num_bytes"].sum()
    assert corpus.metrics == {
        "files": {"read": 1, "set_aside": 0},
        "documents": {"read": 6, "kept": 2},
        "bytes": {"read": corpus.waterfall["bytes_before"][0], "kept": corpus.waterfall["bytes_after"][-1]},
        "dropped": {
            "reading": {"empty": 1},
            "gopher_quality": {"gopher_short_doc": 1},
            "exact_duplicates": {"exact_duplicate": 1},
            "near_duplicates": {"near_duplicate": 1},
        },
        "languages": {"und": 2},
        "splits": {
            "train": kept(corpus).filter(split="train").height,
            "val": kept(corpus).filter(split="val").height,
        },
    }


def test_filters_apply_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", "two words", "two words", "three words here")

    corpus = ingest(tmp_path, {"plugin": "exact_duplicates"}, QUALITY)

    assert dropped(corpus)["filter"].to_list() == ["exact_duplicates", "gopher_quality"]
    assert corpus.waterfall["filter"].to_list() == ["reading", "exact_duplicates", "gopher_quality"]


def test_a_filter_may_be_used_twice(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", "three words here")

    corpus = ingest(tmp_path, QUALITY, QUALITY)

    assert corpus.waterfall["filter"].to_list() == ["reading", "gopher_quality", "gopher_quality (2)"]


def test_results_may_be_read_more_than_once_and_come_in_shards(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", *(f"{n} " + "word " * 200 for n in range(5000)))

    corpus = ingest(tmp_path, shard_megabytes=2)

    shards = list(corpus.documents)
    assert [shard["text"].str.len_bytes().sum() >= 2_000_000 for shard in shards] == [True] * (
        len(shards) - 1
    ) + [False]
    assert len(shards) > 1
    assert pl.concat(shards).equals(kept(corpus))
    assert dropped(corpus).height == 0  # one empty shard, so that the columns are known


def test_the_result_does_not_depend_on_how_it_was_batched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(0)
    texts = [" ".join(draw.choice("abcdefgh") * 3 for _ in range(40)) for _ in range(60)]
    texts += [f"{text} end" for text in texts[:20]] + texts[:20]
    draw.shuffle(texts)
    write_jsonl(tmp_path / "a.jsonl", *texts[:50])
    write_jsonl(tmp_path / "b.jsonl", *texts[50:])
    together = ingest(tmp_path, *DUPLICATES)

    monkeypatch.setattr("prolepsis.text.corpus.spool.BATCH_DOCUMENTS", 3)
    monkeypatch.setattr("prolepsis.text.corpus.readers.BATCH_DOCUMENTS", 7)
    apart = ingest(tmp_path, *DUPLICATES)

    assert kept(together).height == 60
    assert kept(together).equals(kept(apart))
    assert dropped(together).sort("id").equals(dropped(apart).sort("id"))


# --- the split


@given(st.text(max_size=30), st.floats(0, 0.5))
def test_a_larger_validation_share_only_adds_to_the_validation_split(text: str, share: float) -> None:
    if split_of(text, share) == "val":
        assert split_of(text, share * 1.5) == "val"
    assert split_of(text, 0.0) == "train"


def test_the_split_of_a_text_is_the_same_for_ever() -> None:
    assert [split_of(text, 0.5) for text in ("a", "b", "c", "d", "e", "f")] == [
        "train",
        "train",
        "train",
        "val",
        "train",
        "val",
    ]


def test_the_split_follows_the_text_and_not_the_file(tmp_path: Path) -> None:
    texts = [f"text number {n}" for n in range(400)]
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    write_jsonl(folders[0] / "a.jsonl", *texts)
    write_jsonl(folders[1] / "z.jsonl", *reversed(texts))

    one, two = (kept(ingest(folder, validation_share=0.2)) for folder in folders)

    assert dict(one.select("text", "split").iter_rows()) == dict(two.select("text", "split").iter_rows())
    assert 0.14 < (one["split"] == "val").mean() < 0.26


# --- what goes wrong


def test_bad_files_are_set_aside_with_the_place_and_the_run_goes_on(tmp_path: Path) -> None:
    for number in range(20):
        write_jsonl(tmp_path / f"good{number:02}.jsonl", f"text {number}")
    (tmp_path / "latin1.txt").write_bytes("Größe".encode("latin-1"))
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"text": "x"}\n' * 1000)[:-20])
    (tmp_path / "array.jsonl").write_text('{"text": "fine"}\n[1]\n')
    (tmp_path / "not.parquet").write_text("PAR2" * 10)
    (tmp_path / "image.png").write_bytes(b"\x89PNG")

    corpus = ingest(tmp_path)

    assert kept(corpus).height == 20
    reasons = dict(corpus.set_aside.rows())
    assert list(reasons) == ["array.jsonl", "cut.jsonl.gz", "image.png", "latin1.txt", "not.parquet"]
    assert reasons["latin1.txt"] == "It is not UTF-8: invalid start byte, 0xf6 at byte 2."
    assert "end-of-stream" in reasons["cut.jsonl.gz"]
    assert reasons["array.jsonl"] == "Line 2 is a JSON array, not an object."
    assert "magic bytes" in reasons["not.parquet"]
    assert reasons["image.png"] == "No reader takes '.png'."
    assert corpus.metrics["files"] == {"read": 20, "set_aside": 5}


def test_nothing_of_a_file_that_breaks_late_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prolepsis.text.corpus.spool.BATCH_DOCUMENTS", 10)
    monkeypatch.setattr("prolepsis.text.corpus.readers.BATCH_DOCUMENTS", 10)
    write_jsonl(tmp_path / "a.jsonl", *(f"good {n}" for n in range(15)))
    lines = b"".join(b'{"text": "bad %d"}\n' % n for n in range(33))
    (tmp_path / "b.jsonl").write_bytes(lines + b"{")
    write_jsonl(tmp_path / "c.jsonl", *(f"good {n}" for n in range(15, 30)))

    corpus = ingest(tmp_path, {"plugin": "exact_duplicates"}, max_bad_share=0.5)

    assert kept(corpus)["text"].to_list() == [f"good {n}" for n in range(30)]
    assert dropped(corpus).height == 0
    assert corpus.metrics["documents"]["read"] == 30


def test_too_many_bad_files_stop_the_run_with_examples(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", "fine")
    for number in range(3):
        (tmp_path / f"bad{number}.txt").write_bytes(b"\xff")

    with pytest.raises(
        ProlepsisError, match=r"3 of 4 files cannot be read, more than the 50% that may be"
    ) as error:
        ingest(tmp_path, max_bad_share=0.5)

    assert "bad0.txt: It is not UTF-8" in str(error.value)
    assert "max_bad_share" in str(error.value)


def test_a_folder_without_files_says_what_may_be_put_there(tmp_path: Path) -> None:
    with pytest.raises(ProlepsisError, match="no file that a reader takes") as error:
        ingest(tmp_path)

    assert ".jsonl" in str(error.value)


def test_a_corpus_of_empty_files_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()

    with pytest.raises(ProlepsisError, match="has no document"):
        ingest(tmp_path)


def test_a_corpus_of_blank_documents_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" \n")

    with pytest.raises(
        ProlepsisError, match="'reading' dropped every document: all 1 that were left, 1 of them as 'empty'"
    ):
        ingest(tmp_path)


def test_a_filter_that_drops_everything_is_named_with_its_commonest_reason(tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "a.jsonl", "two words", "short text", "one more of ten words so that is another thing"
    )
    strict = {"plugin": "gopher_quality", "config": {"min_words": 5, "max_mean_word_length": 1}}

    with pytest.raises(ProlepsisError, match="'gopher_quality' dropped every document: all 3") as error:
        ingest(tmp_path, {"plugin": "exact_duplicates"}, strict)

    assert "2 of them as 'gopher_short_doc'" in str(error.value)
    assert "corpus_ingestion.filters" in str(error.value)


def test_an_id_used_twice_in_a_file_counts_once_and_files_may_share_ids(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", "first", "second", id="same")
    write_jsonl(tmp_path / "b.jsonl", "third", id="same")

    corpus = ingest(tmp_path)

    assert kept(corpus).select("id", "text").rows() == [("a.jsonl#same", "first"), ("b.jsonl#same", "third")]
    assert dropped(corpus).select("text", "filter", "reason").rows() == [
        ("second", "reading", "duplicate_id")
    ]


def test_a_document_larger_than_the_bound_is_refused_in_every_format(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["x" * 3000]}).write_parquet(tmp_path / "a.parquet")
    write_jsonl(tmp_path / "b.jsonl", "x" * 3000)
    (tmp_path / "c.txt").write_text("x" * 3000)
    (tmp_path / "d.html").write_text("x" * 3000)
    (tmp_path / "e.csv").write_text("text\n" + "x" * 3000)
    write_jsonl(tmp_path / "good.jsonl", "fine")

    corpus = ingest(tmp_path, max_document_megabytes=0.002, max_bad_share=0.9)

    assert kept(corpus)["text"].to_list() == ["fine"]
    assert corpus.set_aside.height == 5
    assert corpus.set_aside["reason"].str.contains("larger than|longer than").all()


def test_a_filter_that_loses_rows_is_a_defect_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prolepsis.text.corpus.filters import GopherQualityFilter

    monkeypatch.setattr(GopherQualityFilter, "judge", lambda self, documents: documents[:0])
    write_jsonl(tmp_path / "a.jsonl", "text")

    with pytest.raises(TypeError, match="gopher_quality"):
        ingest(tmp_path, QUALITY)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"filters": [{"plugin": "gopher_qualty"}]}, "gopher_quality"),
        ({"filters": [{"plugin": "gopher_quality", "config": {"min_word": 3}}]}, "min_word"),
        ({"filters": [], "readers": {"txt": {"unit": "page"}}}, "unit"),
        ({"filters": [], "readers": {"pdf": {}}}, "pdf"),
        ({"filters": [], "max_bad_share": 2}, "max_bad_share"),
        ({}, "filters"),
    ],
)
def test_a_wrong_configuration_is_named_before_anything_is_read(config: dict[str, Any], key: str) -> None:
    with pytest.raises((ValidationError, ProlepsisError), match=key):
        IngestionConfig.model_validate(config)


def test_temporary_files_go_with_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "corpus").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    write_jsonl(tmp_path / "corpus" / "a.jsonl", "one text", "another text")

    corpus = ingest(tmp_path / "corpus", *DUPLICATES)
    assert kept(corpus).height == 2
    del corpus

    assert list((tmp_path / "tmp").iterdir()) == []
