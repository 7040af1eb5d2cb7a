import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prolepsis.errors import ProlepsisError
from prolepsis.text.token_shards import (
    TokenizedDocuments,
    TokenizedPart,
    TokenShards,
    TokenStream,
    token_dtype,
    write_token_shards,
)

Documents = Sequence[Sequence[int]]


def batch(documents: Documents, split: str = "train", first: int = 0) -> TokenizedDocuments:
    """Every other token starts a sentence; languages alternate between known and unknown."""
    return TokenizedDocuments(
        split=split,
        ids=[f"{split}-{first + i}" for i in range(len(documents))],
        languages=["en" if i % 2 else None for i in range(len(documents))],
        tokens=[np.array(document, dtype=np.int32) for document in documents],
        sentence_starts=[np.arange(0, len(document), 2, dtype=np.int32) for document in documents],
    )


def part(*batches: TokenizedDocuments, key: str = "") -> TokenizedPart:
    return TokenizedPart(key, lambda: batches)


def stream(
    *parts: TokenizedPart, vocabulary_size: int = 100, tokenizer_hash: str = "0123abcd"
) -> TokenStream:
    return TokenStream(parts, vocabulary_size, tokenizer_hash, {"pad": 0})


def written(directory: Path, *batches: TokenizedDocuments, vocabulary_size: int = 100) -> TokenShards:
    write_token_shards(directory, stream(part(*batches), vocabulary_size=vocabulary_size))
    return TokenShards.open(directory)


@given(
    documents=st.lists(st.lists(st.integers(0, 99), max_size=9), min_size=1, max_size=30),
    batch_size=st.integers(1, 12),
    part_size=st.integers(1, 5),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_written_is_read_whatever_the_shards(
    tmp_path: Path, documents: list[list[int]], batch_size: int, part_size: int
) -> None:
    batches = [batch(documents[i : i + batch_size], first=i) for i in range(0, len(documents), batch_size)]
    parts = [part(*batches[i : i + part_size]) for i in range(0, len(batches), part_size)]
    write_token_shards(tmp_path / "tokens", stream(*parts))
    split = TokenShards.open(tmp_path / "tokens").split("train")
    assert len(split.shards) == len(parts)
    assert split.num_documents == len(documents)
    assert split.num_tokens == sum(map(len, documents))
    assert split.offsets.tolist() == np.cumsum([0, *map(len, documents)]).tolist()
    assert split.document_ids == [f"train-{i}" for i in range(len(documents))]
    assert split.languages == [name for written in batches for name in written.languages]
    for i, document in enumerate(documents):
        assert split.document(i).tolist() == document
        assert split.sentence_starts(i).tolist() == list(range(0, len(document), 2))
    flat = [token for document in documents for token in document]
    assert split.tokens().tolist() == flat
    for start in (0, 2, len(flat) // 2, len(flat)):
        assert split.tokens(start, start + 5).tolist() == flat[start : start + 5]
    assert split.lists().to_pylist() == documents


def test_splits_are_kept_apart_in_their_order(tmp_path: Path) -> None:
    shards = written(
        tmp_path / "tokens",
        batch([[1, 2], [3]]),
        batch([[9]], "val"),
        batch([[4]], first=2),
    )
    assert shards.splits == ["train", "val"]
    assert [shards.split("train").document(i).tolist() for i in range(3)] == [[1, 2], [3], [4]]
    assert shards.split("train").languages == [None, "en", None]
    assert shards.split("val").document(0).tolist() == [9]
    kinds = ("tokens", "offsets", "languages", "parquet")
    names = {f"{split}-00000.{kind}" for split in ("train", "val") for kind in kinds}
    assert {path.name for path in (tmp_path / "tokens").iterdir()} == {"meta.json", *names}


@pytest.mark.parametrize(
    ("vocabulary_size", "dtype"), [(100, "uint16"), (65_536, "uint16"), (65_537, "uint32")]
)
def test_ids_take_two_bytes_up_to_65536_tokens(tmp_path: Path, vocabulary_size: int, dtype: str) -> None:
    document = [0, vocabulary_size - 1]
    shards = written(tmp_path / "tokens", batch([document]), vocabulary_size=vocabulary_size)
    assert shards.meta["dtype"] == dtype
    assert shards.split("train").document(0).tolist() == document
    assert shards.split("train").document(0).dtype == token_dtype(vocabulary_size) == np.dtype(dtype)
    raw = (tmp_path / "tokens" / "train-00000.tokens").read_bytes()
    assert raw == np.array(document, dtype=f"<u{np.dtype(dtype).itemsize}").tobytes()


def test_documents_are_read_only_views_of_the_file(tmp_path: Path) -> None:
    split = written(tmp_path / "tokens", batch([[1, 2], [3]])).split("train")
    assert isinstance(split.shards[0].tokens, np.memmap)
    assert np.shares_memory(split.document(1), split.shards[0].tokens)
    with pytest.raises(ValueError, match="read-only"):
        split.document(0)[0] = 5


def test_a_document_number_outside_the_split_is_refused(tmp_path: Path) -> None:
    split = written(tmp_path / "tokens", batch([[1]])).split("train")
    for number in (-1, 1):
        with pytest.raises(IndexError, match="of 1 in the split 'train'"):
            split.document(number)


def test_offsets_are_a_read_only_view_of_a_flat_file(tmp_path: Path) -> None:
    split = written(tmp_path / "tokens", batch([[1, 2, 3], []]), batch([[4]])).split("train")
    raw = (tmp_path / "tokens" / "train-00000.offsets").read_bytes()
    assert raw == np.array([0, 3, 3, 4], "<i8").tobytes()
    assert split.shards[0].offsets.tolist() == [0, 3, 3, 4]
    assert isinstance(split.shards[0].offsets.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        split.shards[0].offsets[0] = 5


def test_languages_are_codes_that_each_shard_numbers_for_itself(tmp_path: Path) -> None:
    def of(*languages: str | None, first: int) -> TokenizedPart:
        return part(replace(batch([[1]] * len(languages), first=first), languages=languages))

    parts = [of("fr", None, "fr", first=0), of("en", "fr", first=3), of(None, first=5)]
    write_token_shards(tmp_path / "tokens", stream(*parts))
    split = TokenShards.open(tmp_path / "tokens").split("train")
    raw = (tmp_path / "tokens" / "train-00000.languages").read_bytes()
    assert raw == np.array([0, 1, 0], "<u4").tobytes()
    assert [shard.language_names for shard in split.shards] == [["fr", None], ["en", "fr"], [None]]
    assert split.language_names == [None, "en", "fr"]
    assert split.language_codes.tolist() == [2, 0, 2, 1, 2, 0]
    assert split.languages == ["fr", None, "fr", "en", "fr", None]


def test_a_shard_without_a_document_or_without_a_token_is_read(tmp_path: Path) -> None:
    shards = written(tmp_path / "tokens", batch([]), batch([[], []], "val"))
    assert shards.split("train").num_documents == 0 and shards.split("train").languages == []
    assert shards.split("train").offsets.tolist() == [0]
    assert shards.split("val").document(1).tolist() == []
    assert shards.split("val").offsets.tolist() == [0, 0, 0]


def test_the_index_is_plain_parquet(tmp_path: Path) -> None:
    written(tmp_path / "tokens", batch([[1, 2, 3], [4]]))
    index = pl.read_parquet(tmp_path / "tokens" / "train-00000.parquet")
    assert index.schema == {"id": pl.String, "sentence_starts": pl.List(pl.Int32)}
    assert index.rows() == [("train-0", [0, 2]), ("train-1", [0])]


def test_the_same_documents_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        written(tmp_path / name, batch([[1, 2, 3], [4]]), batch([[5]], "val"))
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    shards = written(tmp_path / "tokens", batch([[1]]))
    shards.require_tokenizer("0123abcd")
    with pytest.raises(ProlepsisError, match="made by the tokenizer 0123abcd, not by ffff") as caught:
        shards.require_tokenizer("ffff")
    assert "kedro run --pipelines tokenization" in str(caught.value)


def test_a_split_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(ProlepsisError, match="no split 'val', only train"):
        written(tmp_path / "tokens", batch([[1]])).split("val")


each_file = pytest.mark.parametrize("kind", ["tokens", "offsets", "languages", "parquet"])


@each_file
def test_a_truncated_file_is_refused_when_the_folder_is_opened(tmp_path: Path, kind: str) -> None:
    written(tmp_path / "tokens", batch([[1, 2, 3]]))
    path = tmp_path / "tokens" / f"train-00000.{kind}"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ProlepsisError, match="truncated") as caught:
        TokenShards.open(tmp_path / "tokens")
    assert path.name in str(caught.value)


@each_file
def test_a_missing_file_is_refused(tmp_path: Path, kind: str) -> None:
    written(tmp_path / "tokens", batch([[1, 2, 3]]))
    (tmp_path / "tokens" / f"train-00000.{kind}").unlink()
    with pytest.raises(ProlepsisError, match="missing"):
        TokenShards.open(tmp_path / "tokens")


@each_file
def test_a_changed_byte_is_found_by_verifying(tmp_path: Path, kind: str) -> None:
    shards = written(tmp_path / "tokens", batch([[1, 2, 3]]))
    shards.verify()
    path = tmp_path / "tokens" / f"train-00000.{kind}"
    path.write_bytes(b"\x07" + path.read_bytes()[1:])
    with pytest.raises(ProlepsisError, match="changed after it was written"):
        TokenShards.open(tmp_path / "tokens").verify()


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        (None, "no token shards"),
        ("{", "not the description"),
        ("[]", "format"),
        ('{"format_version": 99}', "format"),
    ],
)
def test_a_folder_that_holds_no_token_shards_is_refused(
    tmp_path: Path, meta: str | None, message: str
) -> None:
    if meta is not None:
        (tmp_path / "meta.json").write_text(meta)
    with pytest.raises(ProlepsisError, match=message):
        TokenShards.open(tmp_path)


@pytest.mark.parametrize("wrong", [100, -1])
def test_an_id_outside_the_vocabulary_is_refused_and_nothing_is_left(tmp_path: Path, wrong: int) -> None:
    with pytest.raises(ProlepsisError, match=f"id {wrong} is not in a vocabulary of 100"):
        written(tmp_path / "tokens", batch([[1], [wrong]]))
    assert not (tmp_path / "tokens").exists()


def test_an_empty_corpus_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ProlepsisError, match="not a single document"):
        write_token_shards(tmp_path / "tokens", stream())
    assert list(tmp_path.iterdir()) == []


def test_a_failure_in_the_middle_leaves_the_old_folder(tmp_path: Path) -> None:
    written(tmp_path / "tokens", batch([[1, 2, 3]]))

    def failing() -> Iterator[TokenizedDocuments]:
        yield batch([[4]])
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="the power went"):
        write_token_shards(tmp_path / "tokens", stream(TokenizedPart("", failing)))
    assert TokenShards.open(tmp_path / "tokens").split("train").document(0).tolist() == [1, 2, 3]


@pytest.mark.parametrize("stop", range(4))
def test_stopped_at_any_part_the_next_run_encodes_only_what_is_missing(tmp_path: Path, stop: int) -> None:
    encoded: list[int] = []

    def parts(most: int) -> Iterator[TokenizedPart]:
        for number in range(4):

            def batches(number: int = number) -> Iterator[TokenizedDocuments]:
                if len(encoded) == most:
                    raise KeyboardInterrupt
                encoded.append(number)
                yield batch([[number], [number, 1]], first=2 * number)
                yield batch([[number]], "val", first=number)

            yield TokenizedPart(f"documents {number}", batches)

    with pytest.raises(KeyboardInterrupt):
        write_token_shards(tmp_path / "tokens", TokenStream(parts(stop), 100, "0123abcd", {}))
    assert not (tmp_path / "tokens").exists()
    write_token_shards(tmp_path / "tokens", TokenStream(parts(100), 100, "0123abcd", {}))

    assert encoded == [0, 1, 2, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]
    write_token_shards(tmp_path / "at_once", TokenStream(parts(100), 100, "0123abcd", {}))
    for path in (tmp_path / "at_once").iterdir():
        assert path.read_bytes() == (tmp_path / "tokens" / path.name).read_bytes()


@pytest.mark.parametrize("change", ["documents", "tokenizer", "vocabulary"])
def test_what_was_encoded_of_other_documents_or_by_another_tokenizer_is_not_used(
    tmp_path: Path, change: str
) -> None:
    def failing() -> Iterator[TokenizedDocuments]:
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        write_token_shards(tmp_path / "tokens", stream(part(batch([[1]])), TokenizedPart("", failing)))
    write_token_shards(
        tmp_path / "tokens",
        stream(
            part(batch([[2]]), key="changed" if change == "documents" else ""),
            tokenizer_hash="ffff" if change == "tokenizer" else "0123abcd",
            vocabulary_size=200 if change == "vocabulary" else 100,
        ),
    )
    assert TokenShards.open(tmp_path / "tokens").split("train").document(0).tolist() == [2]


def test_documents_as_lists_share_the_memory_of_the_file(tmp_path: Path) -> None:
    split = written(tmp_path / "tokens", batch([[1, 2], [], [3]])).split("train")
    lists = split.lists()
    assert lists.type == pa.large_list(pa.uint16())
    assert lists.chunk(0).values.buffers()[1].address == split.shards[0].tokens.ctypes.data
    assert pl.Series(lists).list.sum().to_list() == [3, 0, 3]


def test_the_stream_is_written_batch_by_batch(tmp_path: Path) -> None:
    sizes = []

    def watching() -> Iterator[TokenizedDocuments]:
        for i in range(3):
            yield batch([[i] * 4_000_000], first=i)
            (tokens,) = tmp_path.rglob("train-00000.tokens")
            sizes.append(tokens.stat().st_size)

    write_token_shards(tmp_path / "tokens", stream(TokenizedPart("", watching)))
    assert sizes == [8_000_000, 16_000_000, 24_000_000]


def test_the_profile_counts_each_shard(tmp_path: Path) -> None:
    parts = [part(batch([[1, 2, 3]])), part(batch([[7]]), batch([[5]], "val"))]
    write_token_shards(tmp_path / "tokens", stream(*parts))
    shards = TokenShards.open(tmp_path / "tokens")
    assert shards.profile().rows() == [
        ("train", "train-00000", 1, 3, 2, 3, 100),
        ("train", "train-00001", 1, 1, 1, 7, 100),
        ("val", "val-00001", 1, 1, 1, 5, 100),
    ]
    assert shards.special_ids == {"pad": 0}
    assert json.loads((tmp_path / "tokens" / "meta.json").read_text())["tokenizer_hash"] == "0123abcd"
