"""Token shards: every document of a corpus as ids in a few flat files that are read by memory mapping.

A folder holds, for each split, flat little-endian files

* `train-00000.tokens`: ids one after the other, uint16 up to a vocabulary of 65,536 and uint32 above;
* `train-00000.offsets`: int64, where each document begins in these, and at last where the last one ends;
* `train-00000.languages`: uint32, each document's place in the shard's list of `language_names`;

further

* `train-00000.parquet`: one row for each document: its `id`, and `sentence_starts`, the positions inside the
  document where sentences begin;

and `meta.json` with what made it: vocabulary size, the tokenizer's hash and special ids, counts, names of
languages (null where unknown), and each file's size and SHA-256. Documents carry no special tokens: a
training recipe adds what it asks for.

What every training reads is in the flat files, so that one which asks for no more never loads Arrow.

    >>> shards = TokenShards.open(Path("data/05_model_input/tokens/byte_bpe"))    # doctest: +SKIP
    >>> train = shards.split("train")                                             # doctest: +SKIP
    >>> train.document(0), train.sentence_starts(0)                               # doctest: +SKIP
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from prolepsis.errors import ProlepsisError
from prolepsis.files import atomic_directory, fingerprint, read_json, sha256_file, write_json

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

META_FILE = "meta.json"
FORMAT_VERSION = 3

_PART_FILE = "part.json"
_FILES = ("tokens", "offsets", "languages", "index")  # of each shard, by their names in `meta.json`
_OFFSET, _LANGUAGE = np.dtype("<i8"), np.dtype("<u4")


@dataclass(frozen=True)
class TokenizedDocuments:
    """Some documents of one split, encoded.

    Attributes:
        split: `train` or `val`.
        ids: the documents' names `[N]`.
        languages: their languages `[N]`, None where unknown.
        tokens: the ids of each.
        sentence_starts: for each, the rising token positions where a sentence starts; empty for no tokens.
        num_bytes: of all their text in UTF-8, or None where only the tokens are known.
    """

    split: str
    ids: Sequence[str]
    languages: Sequence[str | None]
    tokens: Sequence[NDArray[np.integer[Any]]]
    sentence_starts: Sequence[NDArray[np.integer[Any]]]
    num_bytes: int | None = None


@dataclass(frozen=True)
class TokenizedPart:
    """Documents that become one shard of each split that they have.

    Attributes:
        key: changes when the documents do.
        batches: encodes them, batch by batch, in any order of splits.
    """

    key: str
    batches: Callable[[], Iterable[TokenizedDocuments]]


@dataclass(frozen=True)
class TokenStream:
    """An encoded corpus on its way to disk, with what a reader must know of its tokenizer."""

    parts: Iterable[TokenizedPart]
    vocabulary_size: int
    tokenizer_hash: str
    special_ids: Mapping[str, int]


def write_token_shards(directory: Path, stream: TokenStream) -> None:
    """Writes the folder, whole or not at all, holding what the stream holds of one part in memory.

    Finished parts wait beside it in a hidden folder until all are there: if the run is killed, the next one
    takes over those whose documents and tokenizer are the same, and encodes the others.

    Args:
        directory: replaced if it exists.
        stream: documents keep their order inside a split.

    Raises:
        ProlepsisError: there is not a single document, or an id is not in the vocabulary.
    """
    directory = Path(directory)
    finished = directory.parent / f".{directory.name}.unfinished"
    parts = []
    for number, part in enumerate(stream.parts):
        parts.append(finished / f"{number:05d}")
        key = fingerprint([FORMAT_VERSION, stream.tokenizer_hash, stream.vocabulary_size, part.key])
        if _key_of(parts[-1]) != key:
            with atomic_directory(parts[-1]) as temporary:
                shards = _write_part(temporary, number, part, stream.vocabulary_size)
                write_json(temporary / _PART_FILE, {"key": key, "splits": shards})
    splits = _splits_of(parts)
    if not splits:
        raise ProlepsisError(
            "There is not a single document to encode.",
            where=directory,
            remedy="Look at the corpus report: which filter dropped everything?",
        )
    with atomic_directory(directory) as temporary:
        for folder in parts:
            (folder / _PART_FILE).unlink()  # from here on the part is no longer whole in its place
            for file in folder.iterdir():
                file.rename(temporary / file.name)
        write_json(
            temporary / META_FILE,
            {
                "format_version": FORMAT_VERSION,
                "dtype": token_dtype(stream.vocabulary_size).name,
                "vocabulary_size": stream.vocabulary_size,
                "tokenizer_hash": stream.tokenizer_hash,
                "special_ids": dict(stream.special_ids),
                "splits": splits,
            },
        )
    shutil.rmtree(finished)


def _key_of(folder: Path) -> str | None:
    try:
        return str(read_json(folder / _PART_FILE)["key"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # not there, or damaged
        return None


def _write_part(
    directory: Path, number: int, part: TokenizedPart, vocabulary_size: int
) -> dict[str, dict[str, Any]]:
    """Writes one shard of each split, and returns what `meta.json` says of it."""
    with ExitStack() as stack:
        writers: dict[str, _ShardWriter] = {}
        for batch in part.batches():
            if batch.split not in writers:
                name = f"{batch.split}-{number:05d}"
                writers[batch.split] = _ShardWriter(directory, name, vocabulary_size)
                stack.callback(writers[batch.split].close)
            writers[batch.split].write(batch)
    return {split: writer.describe() for split, writer in writers.items()}


def _splits_of(parts: Sequence[Path]) -> dict[str, list[dict[str, Any]]]:
    splits: dict[str, list[dict[str, Any]]] = {}
    for folder in parts:
        for split, description in read_json(folder / _PART_FILE)["splits"].items():
            splits.setdefault(split, []).append(description)
    return dict(sorted(splits.items()))


def token_dtype(vocabulary_size: int) -> np.dtype[Any]:
    """Little-endian uint16 where every id fits into it, else uint32."""
    return np.dtype("<u2") if vocabulary_size <= 1 << 16 else np.dtype("<u4")


class _FlatFile:
    """Numbers of one type on their way to a file."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._path = path
        self._dtype = dtype
        self._file: BinaryIO = path.open("wb")
        self._digest = hashlib.sha256()

    def write(self, numbers: NDArray[np.integer[Any]]) -> None:
        content = numbers.astype(self._dtype).tobytes()
        self._file.write(content)
        self._digest.update(content)

    def close(self) -> None:
        self._file.close()

    def describe(self) -> dict[str, Any]:
        return _describe_file(self._path, self._digest.hexdigest())


class _IndexFile:
    """Names and sentences on their way to Parquet."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path = path
        self._schema = pa.schema(
            [
                pa.field("id", pa.string(), nullable=False),
                pa.field("sentence_starts", pa.list_(pa.int32()), nullable=False),
            ]
        )
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, ids: Sequence[str], sentence_starts: Sequence[NDArray[np.int32]]) -> None:
        import pyarrow as pa

        # Arrow's list offsets: 0, then where each list ends.
        ends = np.cumsum([0, *map(len, sentence_starts)], dtype=np.int32)
        lists = pa.ListArray.from_arrays(ends, np.concatenate(sentence_starts))
        self._writer.write_table(pa.table([pa.array(ids, pa.string()), lists], schema=self._schema))

    def close(self) -> None:
        self._writer.close()

    def describe(self) -> dict[str, Any]:
        return _describe_file(self._path, sha256_file(self._path))


class _ShardWriter:
    """Writes the files of one shard."""

    def __init__(self, directory: Path, name: str, vocabulary_size: int) -> None:
        self._name = name
        self._vocabulary_size = vocabulary_size
        self._tokens = _FlatFile(directory / f"{name}.tokens", token_dtype(vocabulary_size))
        self._offsets = _FlatFile(directory / f"{name}.offsets", _OFFSET)
        self._offsets.write(np.zeros(1, np.int64))
        self._languages = _FlatFile(directory / f"{name}.languages", _LANGUAGE)
        self._language_codes: dict[str | None, int] = {}
        self._index = _IndexFile(directory / f"{name}.parquet")
        self._num_documents = 0
        self._num_sentences = 0
        self._largest_id = -1
        self._num_bytes: int | None = 0
        self.num_tokens = 0

    def write(self, batch: TokenizedDocuments) -> None:
        """Appends documents."""
        if not batch.ids:
            return
        flat = np.concatenate(batch.tokens)
        if len(flat):
            self._check_ids(flat)
        self._tokens.write(flat)
        self._offsets.write(self.num_tokens + np.cumsum([len(document) for document in batch.tokens]))
        self._languages.write(np.array([self._code(name) for name in batch.languages]))
        starts = [np.asarray(positions, dtype=np.int32) for positions in batch.sentence_starts]
        self._index.write(batch.ids, starts)
        self.num_tokens += len(flat)
        self._num_documents += len(batch.ids)
        self._num_sentences += sum(map(len, starts))
        if self._num_bytes is not None:
            self._num_bytes = None if batch.num_bytes is None else self._num_bytes + batch.num_bytes

    def close(self) -> None:
        for file in (self._tokens, self._offsets, self._languages, self._index):
            file.close()

    def describe(self) -> dict[str, Any]:
        """What `meta.json` says of the shard, once it is closed."""
        return {
            "name": self._name,
            "num_documents": self._num_documents,
            "num_tokens": self.num_tokens,
            "num_sentences": self._num_sentences,
            "num_bytes": self._num_bytes,
            "largest_id": self._largest_id,
            "language_names": list(self._language_codes),
            "tokens": self._tokens.describe(),
            "offsets": self._offsets.describe(),
            "languages": self._languages.describe(),
            "index": self._index.describe(),
        }

    def _code(self, language: str | None) -> int:
        return self._language_codes.setdefault(language, len(self._language_codes))

    def _check_ids(self, flat: NDArray[np.integer[Any]]) -> None:
        smallest, largest = int(flat.min()), int(flat.max())
        if smallest < 0 or largest >= self._vocabulary_size:
            wrong = smallest if smallest < 0 else largest
            raise ProlepsisError(
                f"The id {wrong} is not in a vocabulary of {self._vocabulary_size}.",
                where=self._name,
                remedy="Encode with the tokenizer whose vocabulary size and hash are given.",
            )
        self._largest_id = max(self._largest_id, largest)


def _describe_file(path: Path, sha256: str) -> dict[str, Any]:
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256}


@dataclass(frozen=True)
class TokenShard:
    """The files of one shard, opened when they are first used."""

    directory: Path
    description: Mapping[str, Any]
    dtype: np.dtype[Any]

    @property
    def num_documents(self) -> int:
        return int(self.description["num_documents"])

    @property
    def num_tokens(self) -> int:
        return int(self.description["num_tokens"])

    @cached_property
    def tokens(self) -> NDArray[Any]:
        """All ids of the shard, memory-mapped and read-only."""
        return _mapped(self.tokens_path, self.dtype)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Where each document begins in `tokens`, and the last ends: int64 `[num_documents + 1]`, mapped."""
        # A plain view, whose numbers are taken out faster than a memmap's.
        return _mapped(self._path("offsets"), _OFFSET).view(np.ndarray)

    @property
    def language_names(self) -> list[str | None]:
        """The languages of the shard's documents, None for those where it is unknown."""
        return list(self.description["language_names"])

    @cached_property
    def language_codes(self) -> NDArray[np.uint32]:
        """Each document's place in `language_names`: uint32 `[num_documents]`, mapped."""
        return _mapped(self._path("languages"), _LANGUAGE).view(np.ndarray)

    @cached_property
    def sentence_lists(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The sentence starts of all documents in one array, and where each document's begin in it."""
        starts = self.index(["sentence_starts"])["sentence_starts"]
        bounds = np.concatenate(
            [np.zeros(1, np.int64), np.cumsum(starts.list.len().to_numpy(), dtype=np.int64)]
        )
        return bounds, starts.explode(empty_as_null=False).to_numpy().astype(np.int32, copy=False)

    def index(self, columns: list[str] | None = None) -> "pl.DataFrame":
        """The index table, or some of its columns."""
        import polars as pl

        return pl.read_parquet(self._path("index"), columns=columns)

    @property
    def tokens_path(self) -> Path:
        return self._path("tokens")

    def _path(self, file: str) -> Path:
        return self.directory / str(self.description[file]["file"])


def _mapped(path: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A file's numbers, read-only and in memory only where they are looked at."""
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return np.empty(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r")


@dataclass(frozen=True)
class TokenSplit:
    """The documents of one split, numbered from 0 across all its shards."""

    name: str
    shards: Sequence[TokenShard]

    @cached_property
    def num_documents(self) -> int:
        return sum(shard.num_documents for shard in self.shards)

    @cached_property
    def num_tokens(self) -> int:
        return sum(shard.num_tokens for shard in self.shards)

    @property
    def num_bytes(self) -> int | None:
        """Bytes of the text that was encoded, in UTF-8, or None if that was not noted."""
        counts = [shard.description["num_bytes"] for shard in self.shards]
        return None if None in counts else sum(counts)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Where each document begins in the split, and the last ends: int64 `[num_documents + 1]`."""
        parts = [np.zeros(1, np.int64)]
        for shard in self.shards:
            parts.append(parts[-1][-1] + shard.offsets[1:])
        return np.concatenate(parts)

    @cached_property
    def document_ids(self) -> list[str]:
        """Names of all documents."""
        return [name for shard in self.shards for name in shard.index(["id"])["id"].to_list()]

    @cached_property
    def language_names(self) -> list[str | None]:
        """The languages of the documents in the order of their names, None for those where it is unknown."""
        return sorted({name for shard in self.shards for name in shard.language_names}, key=str)

    @cached_property
    def language_codes(self) -> NDArray[np.uint32]:
        """The place of each document's language in `language_names`: uint32 `[num_documents]`."""
        place = {name: number for number, name in enumerate(self.language_names)}
        parts = [
            np.array([place[name] for name in shard.language_names], np.uint32)[shard.language_codes]
            for shard in self.shards
        ]
        return np.concatenate(parts)

    @property
    def languages(self) -> list[str | None]:
        """Languages of all documents, None where unknown."""
        return [self.language_names[code] for code in self.language_codes.tolist()]

    def document(self, number: int) -> NDArray[Any]:
        """The ids of a document: a read-only view of the file, uint16 or uint32."""
        shard, row = self._locate(number)
        return shard.tokens[shard.offsets[row] : shard.offsets[row + 1]]

    def lists(self) -> "pa.ChunkedArray":
        """All documents as an Arrow column of lists of ids, a chunk for each shard, without copying them."""
        import pyarrow as pa

        item = pa.from_numpy_dtype(self.shards[0].dtype)
        chunks = [
            pa.LargeListArray.from_arrays(pa.array(shard.offsets), pa.array(shard.tokens, item))
            for shard in self.shards
        ]
        return pa.chunked_array(chunks, pa.large_list(item))

    def sentence_starts(self, number: int) -> NDArray[np.int32]:
        """The token positions inside a document where its sentences start."""
        shard, row = self._locate(number)
        bounds, starts = shard.sentence_lists
        return starts[bounds[row] : bounds[row + 1]]

    def tokens(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """The split's ids from `start` to `stop`, documents one after the other.

        A view of the file where one shard holds them all, else a copy.
        """
        start, stop, _ = slice(start, stop).indices(self.num_tokens)
        parts = [
            shard.tokens[max(start - first, 0) : stop - first]
            for shard, first in zip(self.shards, self._token_bounds[:-1], strict=True)
            if first < stop and start < first + shard.num_tokens
        ]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty(0, dtype=self.shards[0].dtype)

    def _locate(self, number: int) -> tuple[TokenShard, int]:
        if not 0 <= number < self.num_documents:
            raise IndexError(f"document {number} of {self.num_documents} in the split {self.name!r}")
        shard = int(np.searchsorted(self._document_bounds, number, side="right")) - 1
        return self.shards[shard], number - int(self._document_bounds[shard])

    @cached_property
    def _document_bounds(self) -> NDArray[np.int64]:
        return np.cumsum([0, *(shard.num_documents for shard in self.shards)], dtype=np.int64)

    @cached_property
    def _token_bounds(self) -> NDArray[np.int64]:
        return np.cumsum([0, *(shard.num_tokens for shard in self.shards)], dtype=np.int64)


@dataclass(frozen=True)
class TokenShards:
    """An encoded corpus on disk.

    Attributes:
        directory: the folder.
        meta: the content of its `meta.json`.
    """

    directory: Path
    meta: Mapping[str, Any] = field(repr=False)

    @classmethod
    def open(cls, directory: Path) -> "TokenShards":
        """Reads `meta.json` and compares it with the files' sizes; the files themselves are opened when used.

        Raises:
            ProlepsisError: the folder is not a complete one of token shards.
        """
        directory = Path(directory)
        try:
            meta = read_json(directory / META_FILE)
        except FileNotFoundError as error:
            raise ProlepsisError("There are no token shards here.", where=directory, remedy=_AGAIN) from error
        except ValueError as error:
            raise ProlepsisError(
                f"This is not the description of token shards: {error}",
                where=directory / META_FILE,
                remedy=_AGAIN,
            ) from error
        if not isinstance(meta, dict) or meta.get("format_version") != FORMAT_VERSION:
            raise ProlepsisError(
                f"These token shards are not of format {FORMAT_VERSION}.",
                where=directory / META_FILE,
                remedy=_AGAIN,
            )
        shards = cls(directory, meta)
        shards._check_sizes()
        return shards

    @property
    def vocabulary_size(self) -> int:
        return int(self.meta["vocabulary_size"])

    @property
    def tokenizer_hash(self) -> str:
        return str(self.meta["tokenizer_hash"])

    @property
    def special_ids(self) -> dict[str, int]:
        """Part (`pad`, `unk`, `cls`, `sep`, `mask`) to id, of those that the tokenizer has."""
        return dict(self.meta["special_ids"])

    @property
    def splits(self) -> list[str]:
        return list(self.meta["splits"])

    def split(self, name: str) -> TokenSplit:
        """One split.

        Raises:
            ProlepsisError: the corpus has no document of it.
        """
        if name not in self.meta["splits"]:
            raise ProlepsisError(
                f"The token shards have no split {name!r}, only {', '.join(self.splits)}.",
                where=self.directory,
                remedy="Give the corpus more documents, or a larger share of them to that split.",
            )
        dtype = token_dtype(self.vocabulary_size)
        return TokenSplit(
            name, [TokenShard(self.directory, entry, dtype) for entry in self.meta["splits"][name]]
        )

    def require_tokenizer(self, tokenizer_hash: str) -> None:
        """Refuses a tokenizer other than the one that encoded these shards.

        Raises:
            ProlepsisError: the hashes differ.
        """
        if tokenizer_hash != self.tokenizer_hash:
            raise ProlepsisError(
                f"These tokens were made by the tokenizer {self.tokenizer_hash}, not by {tokenizer_hash}: "
                "their ids mean different words.",
                where=self.directory,
                remedy=_AGAIN,
            )

    def verify(self) -> None:
        """Reads every file and compares its SHA-256.

        Raises:
            ProlepsisError: a file is not what was written.
        """
        for entry in self._files():
            path = self.directory / entry["file"]
            if sha256_file(path) != entry["sha256"]:
                raise ProlepsisError("The file was changed after it was written.", where=path, remedy=_AGAIN)

    def profile(self) -> "pl.DataFrame":
        """One row for each shard: its split, name, counts, largest id, and the vocabulary size."""
        import polars as pl

        columns = ("num_documents", "num_tokens", "num_sentences", "largest_id")
        rows = [
            {
                "split": split,
                "shard": entry["name"],
                **{column: entry[column] for column in columns},
                "vocabulary_size": self.vocabulary_size,
            }
            for split, entries in self.meta["splits"].items()
            for entry in entries
        ]
        return pl.DataFrame(
            rows,
            schema={
                "split": pl.String,
                "shard": pl.String,
                **dict.fromkeys(columns, pl.Int64),
                "vocabulary_size": pl.Int64,
            },
        )

    def _files(self) -> Iterator[dict[str, Any]]:
        for entries in self.meta["splits"].values():
            for entry in entries:
                yield from (entry[file] for file in _FILES)

    def _check_sizes(self) -> None:
        for entry in self._files():
            path = self.directory / entry["file"]
            if not path.is_file():
                raise ProlepsisError("A file of the token shards is missing.", where=path, remedy=_AGAIN)
            if path.stat().st_size != entry["bytes"]:
                raise ProlepsisError(
                    f"The file has {path.stat().st_size} bytes, not the {entry['bytes']} that were written: "
                    "it is truncated or was changed.",
                    where=path,
                    remedy=_AGAIN,
                )


_AGAIN = "Encode the corpus again with 'kedro run --pipelines tokenization'."
