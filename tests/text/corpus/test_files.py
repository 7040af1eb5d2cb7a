import bz2
import gzip
import lzma
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from prolepsis.text.corpus.files import CorpusFile, FileReport, find_files

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


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "a.txt").touch()
    (tmp_path / "b.txt").touch()
    scan = os.scandir

    def refusing(path: Path) -> object:  # as for whoever is not root
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found, passed_over = find_files(tmp_path)
    assert [file.name for file in found] == ["b.txt"]
    assert passed_over == {"closed": "The folder cannot be read: Permission denied"}


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
    ("include", "exclude", "names"),
    [
        (["**/*"], [], ["a.txt", "news/2020/c.jsonl", "news/b.jsonl.gz"]),
        (["*.txt"], [], ["a.txt"]),
        (["**/*.jsonl*"], [], ["news/2020/c.jsonl", "news/b.jsonl.gz"]),
        (["news/*"], [], ["news/b.jsonl.gz"]),
        (["news/**"], ["**/2020/*"], ["news/b.jsonl.gz"]),
        (["news/20[0-2]?/c.*", "?.txt"], [], ["a.txt", "news/2020/c.jsonl"]),
        (["a.txt"], ["a.*"], []),
        (["A.TXT"], [], []),
    ],
)
def test_globs_say_which_files_are_wanted(
    include: list[str], exclude: list[str], names: list[str], tmp_path: Path
) -> None:
    (tmp_path / "news/2020").mkdir(parents=True)
    write(tmp_path, a__txt=b"")
    write(tmp_path / "news", b__jsonl__gz=b"")
    write(tmp_path / "news/2020", c__jsonl=b"")
    (tmp_path / "link.csv").symlink_to("a.txt")

    found, passed_over = find_files(tmp_path, include, exclude)

    assert [file.name for file in found] == names
    assert set(passed_over) == ({"link.csv"} if include == ["**/*"] else set())


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
def test_every_compression_gives_the_bytes_back(
    compression: str, compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    # Two members one after the other, as concatenated archives have them.
    path.write_bytes(compress(TEXT) + compress(TEXT))

    with CorpusFile(path, "file", ".txt", compression).open() as stream:
        assert list(iter(stream.readline, b"")) == (TEXT * 2).splitlines(keepends=True)


def test_reading_a_file_again_starts_its_report_again(tmp_path: Path) -> None:
    write(tmp_path, a__txt="Wörter".encode("cp1252"))
    (file,) = find_files(tmp_path)[0]
    for _ in range(2):
        with file.open_text() as stream:
            assert stream.read() == "Wörter".encode()
        assert file.report == FileReport(encodings={"cp1252"}, num_bytes=6)


def test_a_file_goes_to_another_process_without_its_reader(tmp_path: Path) -> None:
    write(tmp_path, a__txt=b"text")
    (file,) = find_files(tmp_path)[0]

    assert pickle.loads(pickle.dumps(file)) == file
