import bz2
import gzip
import lzma
import os
from pathlib import Path

import pyarrow as pa
import pytest

from prolepsis.text.corpus.files import BadFileError, CorpusFile, decode, find_files

TEXT = "Ein Wort, zwei Wörter, drei.\n".encode() * 100


def write(folder: Path, **contents: bytes) -> None:
    for name, content in contents.items():
        (folder / name.replace("__", ".")).write_bytes(content)


def test_files_are_found_in_the_order_of_their_names_with_their_suffixes(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    write(tmp_path / "b", z__TXT=b"")
    write(tmp_path, c__txt=b"", a__jsonl__gz=b"")

    found, passed_over = find_files(tmp_path)

    assert [(file.name, file.suffix, file.compression) for file in found] == [
        ("a.jsonl.gz", ".jsonl", ".gz"),
        ("b/z.TXT", ".txt", ""),
        ("c.txt", ".txt", ""),
    ]
    assert passed_over == {}


def test_hidden_files_and_folders_are_ignored(tmp_path: Path) -> None:
    (tmp_path / ".cache").mkdir()
    write(tmp_path / ".cache", a__txt=b"")
    (tmp_path / ".gitignore").touch()

    assert find_files(tmp_path) == ([], {})


def test_a_link_that_leaves_the_folder_is_not_followed(tmp_path: Path) -> None:
    corpus, outside = tmp_path / "corpus", tmp_path / "outside"
    corpus.mkdir()
    outside.mkdir()
    write(outside, secret__txt=b"secret")
    (corpus / "file.txt").symlink_to(outside / "secret.txt")
    (corpus / "folder").symlink_to(outside, target_is_directory=True)

    found, passed_over = find_files(corpus)

    assert found == []
    assert set(passed_over) == {"file.txt", "folder"}
    assert all("leaves the corpus folder" in reason for reason in passed_over.values())


def test_a_link_inside_the_folder_does_not_make_its_target_count_twice(tmp_path: Path) -> None:
    write(tmp_path, a__txt=b"once")
    (tmp_path / "b.txt").symlink_to("a.txt")

    found, passed_over = find_files(tmp_path)

    assert [file.name for file in found] == ["a.txt"]
    assert "read there" in passed_over["b.txt"]


def test_a_pipe_is_passed_over_and_does_not_hang_the_run(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")

    assert find_files(tmp_path) == ([], {"pipe.txt": "It is no regular file."})


@pytest.mark.parametrize(
    ("compression", "compress"),
    [
        ("", lambda data: data),
        (".gz", gzip.compress),
        (".xz", lzma.compress),
        (".bz2", bz2.compress),
        (".zst", lambda data: pa.compress(data, codec="zstd", asbytes=True)),
    ],
)
def test_every_compression_gives_the_bytes_back(compression: str, compress, tmp_path: Path) -> None:
    path = tmp_path / "file"
    # Two members one after the other, as concatenated archives have them.
    path.write_bytes(compress(TEXT) + compress(TEXT))

    with CorpusFile(path, "file", ".txt", compression).open() as stream:
        assert list(iter(stream.readline, b"")) == (TEXT * 2).splitlines(keepends=True)


def test_bytes_that_are_not_utf8_are_named_with_their_place_in_the_file() -> None:
    with pytest.raises(BadFileError, match=r"0xe9 at byte 1002"):
        decode(b"ab\xe9 cd", offset=1000)


def test_a_nul_byte_marks_a_binary_file() -> None:
    with pytest.raises(BadFileError, match="binary file: NUL at byte 7"):
        decode(b"ab\x00", offset=5)


def test_utf16_is_named_as_such() -> None:
    with pytest.raises(BadFileError, match="UTF-16"):
        decode("hello".encode("utf-16"), offset=0)


def test_the_byte_order_mark_of_utf8_is_no_part_of_the_text() -> None:
    assert decode(b"\xef\xbb\xbfhello", offset=0) == "hello"
    assert decode("\ufeffhello".encode(), offset=3) == "\ufeffhello"
