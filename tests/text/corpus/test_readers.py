import bz2
import gzip
import io
import json
import lzma
import re
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prolepsis import plugins
from prolepsis.text.corpus.files import BadFileError, CorpusFile, Decoding, find_files
from prolepsis.text.corpus.readers import BATCH_DOCUMENTS, batches
from prolepsis.text.corpus.readers.arrow import ParquetReader, TableReaderConfig
from prolepsis.text.corpus.readers.csv import CsvReaderConfig
from prolepsis.text.corpus.readers.html import HtmlReaderConfig


def parquet(**columns: object) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_parquet(buffer)
    return buffer.getvalue()


def arrow(**columns: object) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_ipc(buffer)
    return buffer.getvalue()


def arrow_stream(**columns: object) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_ipc_stream(buffer)
    return buffer.getvalue()


TABLES = {"parquet": parquet, "arrow": arrow}


Read = Callable[..., pl.DataFrame]


def read_all(
    path: Path, max_document_bytes: int = 1_000_000, decoding: Decoding | None = None, **config: object
) -> tuple[pl.DataFrame, CorpusFile]:
    """What the reader for a file reads, and the file with its report."""
    (file,) = find_files(path.parent, [path.name], decoding=decoding or Decoding())[0]
    for name in plugins.names("prolepsis.corpus_readers"):
        reader = plugins.load("prolepsis.corpus_readers", name)
        if file.suffix in reader.suffixes:
            frames = list(reader(reader.Config(**config)).read(file, max_document_bytes))
            return pl.concat(frames), file
    raise AssertionError(f"no reader takes {path}")


# --- text


def test_a_text_file_is_one_document(read: Read) -> None:
    assert read("a.txt", b"one\n\ntwo\n").rows() == [("", "one\n\ntwo\n")]


def test_paragraphs_are_named_by_their_first_line(read: Read) -> None:
    content = b"\n\none\nmore\n\n \ntwo\r\n\r\nthree"

    rows = read("a.txt", content, unit="paragraph").rows()

    assert rows == [("3", "one\nmore\n"), ("7", "two\r\n"), ("9", "three")]


def test_lines_are_named_by_their_number(read: Read) -> None:
    assert read("a.txt", b"one\n\ntwo", unit="line").rows() == [("1", "one\n"), ("3", "two")]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.html"])
def test_strictly_broken_utf8_is_named_with_its_byte(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes("Größe\n".encode() * 1000 + b"ab\xff")

    with pytest.raises(BadFileError, match="It is not UTF-8: invalid start byte, 0xff at byte 8002"):
        read_all(tmp_path / name, decoding=Decoding(encoding="utf-8", max_replaced_share=0))


def test_an_old_text_is_read_in_its_encoding_and_that_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text\nLa niña comió jamón\n".encode("cp1252"))

    frame, file = read_all(tmp_path / "a.csv")

    assert frame["text"].to_list() == ["La niña comió jamón"]
    assert file.report.encoding == "cp1252"
    assert file.report.replaced_bytes == 0


def test_a_little_damage_is_replaced_and_reported_much_is_not_borne(tmp_path: Path) -> None:
    good = "Größe\n".encode() * 1000
    (tmp_path / "a.txt").write_bytes(good + b"\xff" + good)
    (tmp_path / "b.txt").write_bytes(good + b"\xff" * 500 + good)

    frame, file = read_all(tmp_path / "a.txt", unit="line")

    assert frame["text"][1000] == "\ufffdGröße\n"
    assert (file.report.replaced_bytes, file.report.first_replaced) == (1, len(good))
    with pytest.raises(BadFileError, match="500 of 16500 bytes cannot be decoded, the first at byte 8000"):
        read_all(tmp_path / "b.txt", unit="line")


def test_a_binary_file_with_a_text_suffix_is_refused(read: Read) -> None:
    with pytest.raises(BadFileError, match="It is a binary file, or UTF-16 .*: NUL at byte 4"):
        read("a.txt", b"ELF \x00\x01\x02")


@pytest.mark.parametrize("unit", ["file", "paragraph", "line"])
def test_a_document_that_is_too_large_is_refused_without_reading_on(unit: str, read: Read) -> None:
    with pytest.raises(BadFileError, match=r"(larger|longer) than 0.001 MB"):
        read("a.txt", b"x" * 500 + b" y" * 5000, max_document_bytes=1000, unit=unit)


def test_a_paragraph_of_many_short_lines_is_bounded_too(read: Read) -> None:
    with pytest.raises(BadFileError, match=r"paragraph of line 1 is longer than 0.001 MB"):
        read("a.txt", b"short\n" * 1000, max_document_bytes=1000, unit="paragraph")


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt", "a.html", "a.wet"])
@pytest.mark.parametrize(
    ("compression", "compress"),
    [
        (".gz", gzip.compress),
        (".xz", lzma.compress),
        (".bz2", bz2.compress),
        (".zst", lambda data: pa.compress(data, codec="zstd", asbytes=True)),
    ],
)
def test_a_line_of_gigabytes_takes_no_more_memory_than_a_document_may(
    name: str, compression: str, compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = tmp_path / (name + compression)
    beginning = b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: 2048000000\r\n\r\n"
    # 128 members of 16 MB each, one after the other.
    path.write_bytes(compress(beginning if name == "a.wet" else b"text") + compress(b"a" * 16_000_000) * 128)

    tracemalloc.start()
    with pytest.raises(BadFileError, match="larger than 1 MB|longer than 1 MB"):
        read_all(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 20_000_000


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a.csv", "a.html", "a.warc"])
@pytest.mark.parametrize(
    ("compression", "compress", "error"),
    [
        (".gz", gzip.compress, EOFError),
        (".xz", lzma.compress, EOFError),
        (".bz2", bz2.compress, EOFError),
        (".zst", lambda data: pa.compress(data, codec="zstd", asbytes=True), OSError),
    ],
)
def test_a_truncated_archive_is_damaged_whatever_it_held_before(
    name: str, compression: str, compress: Callable[[bytes], bytes], error: type[Exception], tmp_path: Path
) -> None:
    content = {
        "a.jsonl": b"".join(json.dumps({"text": str(n)}).encode() + b"\n" for n in range(10_000)),
        "a.csv": b"text\n" + b"".join(b"%d\n" % n for n in range(10_000)),
        "a.warc": b"".join(page_record(number) for number in range(50)),
    }.get(name, b"".join(b"%d " % n for n in range(10_000)))
    path = tmp_path / (name + compression)
    path.write_bytes(compress(content)[:-100])

    with pytest.raises((error, BadFileError)):
        read_all(path)


# --- JSON lines


def test_json_lines_give_their_ids_or_their_line_numbers(read: Read) -> None:
    content = b'{"id": "a", "text": "one"}\n\n{"text": "two"}\n{"id": 7, "text": null}\n'

    assert read("a.jsonl", content).rows() == [("a", "one"), ("line 3", "two"), ("7", None)]


def test_the_keys_of_json_lines_can_be_named(read: Read) -> None:
    content = b'{"url": "u", "content": "one"}'

    assert read("a.jsonl", content, text_key="content", id_key="url").rows() == [("u", "one")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"[1, 2]", "Line 2 is a JSON array, not an object"),
        (b'"text"', "Line 2 is a JSON string, not an object"),
        (b"null", "Line 2 is a JSON null, not an object"),
        (b'{"body": "x"}', "Line 2 has no key 'text'; it has 'body'"),
        (b'{"text": 3}', "Line 2: 'text' is a number, not a string"),
        (b'{"text": "x"', "Line 2 is not JSON"),
        (b'{"text": "\\ud800"}', "half of a surrogate pair"),
        (b"[" * 100_000, "Line 2 is not JSON"),
        (b'{"text": ' * 100_000, "Line 2 is not JSON"),
        (b'{"text": NaN}', "Line 2: 'text' is a number, not a string"),
        (b"\xef\xbb\xbf{}", "Line 2 is not JSON"),
    ],
)
def test_a_line_that_is_no_document_is_named(line: bytes, message: str, read: Read) -> None:
    with pytest.raises(BadFileError, match=message):
        read("a.jsonl", b'{"text": "fine"}\n' + line + b"\n")


# --- CSV


def test_csv_rows_may_hold_line_breaks_and_quotes(read: Read) -> None:
    content = b'id,text\na,"one\nmore, ""quoted"""\n,two\n'

    assert read("a.csv", content).rows() == [("a", 'one\nmore, "quoted"'), ("line 4", "two")]


def test_tsv_files_are_separated_by_tabs(read: Read) -> None:
    assert read("a.tsv", b"text\tid\none, two\tx\n").rows() == [("x", "one, two")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,body\n1,x\n", "no column 'text'; there is 'id', 'body'"),
        (b"id,text\n1,x,y\n", "Line 2 has 3 fields, the header has 2"),
        (b'id,text\n1,"never closed\nand on\n', "Line 3 is not CSV: unexpected end of data"),
        (b'id,text\n1,"closed" too soon\n', "Line 2 is not CSV: ',' expected after '\"'"),
        (b"id,text\n1,a\x00b\n", "binary file, or UTF-16 without a byte-order mark: NUL at byte 11"),
    ],
)
def test_broken_csv_is_explained(content: bytes, message: str, read: Read) -> None:
    with pytest.raises(BadFileError, match=message):
        read("a.csv", content)


def test_an_open_quote_does_not_swallow_a_whole_csv_file(read: Read) -> None:
    with pytest.raises(BadFileError, match="field larger than field limit"):
        read("a.csv", b'text\n"' + b"word word\n" * 10_000, max_document_bytes=1000)


def test_an_empty_csv_file_has_no_documents(read: Read) -> None:
    assert read("a.csv", b"").height == 0


# --- Parquet


def test_parquet_rows_give_their_ids_or_their_numbers(read: Read) -> None:
    assert read("a.parquet", parquet(id=[4, None], text=["one", None])).rows() == [
        ("4", "one"),
        ("row 2", None),
    ]


def test_parquet_without_ids_is_numbered_across_batches(read: Read) -> None:
    rows = read("a.parquet", parquet(text=[str(n) for n in range(BATCH_DOCUMENTS + 2)]))

    assert rows["key"].to_list() == [str(n) for n in range(1, BATCH_DOCUMENTS + 3)]


def test_an_id_that_is_no_name_is_not_used(read: Read) -> None:
    assert read("a.parquet", parquet(id=[[1], [2]], text=["one", "two"]))["key"].to_list() == ["1", "2"]


def test_parquet_without_the_text_column_says_what_it_has(read: Read) -> None:
    with pytest.raises(BadFileError, match="no column 'text'; there is 'body'"):
        read("a.parquet", parquet(body=["x"]))


def test_a_parquet_column_of_numbers_is_no_text(read: Read) -> None:
    with pytest.raises(BadFileError, match="'text' is int64, not text"):
        read("a.parquet", parquet(text=[1]))


def test_one_enormous_row_group_is_read_in_small_batches(tmp_path: Path) -> None:
    texts = [f"{number} " * 2000 for number in range(10_000)]
    pl.DataFrame({"text": texts}).write_parquet(tmp_path / "a.parquet", row_group_size=len(texts))

    file = CorpusFile(tmp_path / "a.parquet", "a.parquet", ".parquet", "")
    before = pa.total_allocated_bytes()
    most = seen = 0
    for frame in ParquetReader(TableReaderConfig()).read(file, 1_000_000):
        assert frame["text"].to_list() == texts[seen : seen + frame.height]
        seen += frame.height
        most = max(most, pa.total_allocated_bytes() - before)

    assert seen == len(texts)
    assert most < 0.4 * sum(map(len, texts))


def test_a_text_that_is_repeated_endlessly_does_not_fill_the_memory(tmp_path: Path) -> None:
    count = 50_000  # 5 GB of text in 30 kB
    column = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), ["x" * 100_000])
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pa.table({"text": column}), path, store_schema=False)

    frames = ParquetReader(TableReaderConfig()).read(CorpusFile(path, "a", ".parquet", ""), 1_000_000)

    first = next(iter(frames))
    assert path.stat().st_size < 100_000
    assert first.estimated_size() < 10_000_000
    assert first["text"][0] == "x" * 100_000


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_row_that_is_too_large_is_named(kind: str, read: Read) -> None:
    texts = ["short"] * 5000 + ["x" * 2000]

    with pytest.raises(BadFileError, match="The text of row 5001 is larger than 0.001 MB"):
        read(f"a.{kind}", TABLES[kind](text=texts), max_document_bytes=1000)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_categories_are_text(kind: str, read: Read) -> None:
    column = pl.Series(["one", None, "one"], dtype=pl.Categorical)

    assert read(f"a.{kind}", TABLES[kind](text=column))["text"].to_list() == ["one", None, "one"]


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_strings_that_are_no_utf8_are_refused(kind: str, read: Read) -> None:
    column = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff\xfe")]
    )
    buffer = io.BytesIO()
    table = pa.table({"text": column})
    if kind == "parquet":
        pyarrow.parquet.write_table(table, buffer)
    else:
        with pa.ipc.new_file(buffer, table.schema) as writer:
            writer.write_table(table)

    with pytest.raises(pa.ArrowInvalid, match="UTF8"):
        read(f"a.{kind}", buffer.getvalue())


# --- Arrow


@pytest.mark.parametrize("suffix", ["arrow", "feather", "ipc"])
def test_arrow_files_of_both_formats_are_read(suffix: str, read: Read) -> None:
    texts = [str(n) for n in range(BATCH_DOCUMENTS + 2)]
    for content in (arrow(id=texts[::-1], text=texts), arrow_stream(id=texts[::-1], text=texts)):
        rows = read(f"a.{suffix}", content)

        assert rows["text"].to_list() == texts
        assert rows["key"].to_list() == texts[::-1]


def test_an_arrow_stream_may_be_compressed_as_a_whole(read: Read) -> None:
    assert read("a.arrow.gz", gzip.compress(arrow_stream(text=["one"]))).rows() == [("1", "one")]


def test_what_must_be_read_from_its_end_may_not_be_compressed_as_a_whole(read: Read) -> None:
    with pytest.raises(BadFileError, match=r"read from its end; decompress the \.gz first"):
        read("a.arrow.gz", gzip.compress(arrow(text=["one"])))


def test_an_arrow_file_with_the_wrong_columns_says_what_it_has(read: Read) -> None:
    with pytest.raises(BadFileError, match="no column 'text'; there is 'body'"):
        read("a.arrow", arrow(body=["x"]))


def test_an_arrow_column_of_lists_is_no_text(read: Read) -> None:
    with pytest.raises(BadFileError, match=r"'text' is large_list<.*>, not text"):
        read("a.arrow", arrow(text=[["x"]]))


@pytest.mark.parametrize("content", [b"", b"ARROW1\0\0", b"no arrow file at all", arrow(text=["one"])[:-20]])
def test_a_damaged_arrow_file_is_refused(content: bytes, read: Read) -> None:
    with pytest.raises((BadFileError, OSError, pa.ArrowException)):
        read("a.arrow", content)


# --- HTML

PARAGRAPH = (
    "It was a bright cold day in April, and the clocks of the town were striking thirteen, one by one."
)
LINKS = "".join(f'<li><a href="/{name}">{name}</a></li>' for name in ("Home", "Sport", "Weather", "Culture"))
PAGE = f"""<!DOCTYPE html><html><head><title>T</title><style>p {{}}</style></head><body>
<header>Site</header><nav>Home</nav><div class="cookie">We use cookies to make this page better for all.</div>
<ul>{LINKS}</ul>
<article id="first"><header><h1>Title</h1></header><p>{PARAGRAPH} <b>Bold</b>
word &amp; more.<script>alert(1)</script></p><p>“Short.”</p><pre>
def f():
    return  1
</pre><p>{PARAGRAPH}<br>After a break, <a href="x">a link</a>.</p><p>The end.</p>
<form>Subscribe <input></form><aside>Advertisement</aside></article>
<h2>Related</h2><ul>{LINKS}</ul>
<div role="contentinfo">{PARAGRAPH}</div><p hidden>{PARAGRAPH}</p>
<footer>Imprint {PARAGRAPH}</footer></body></html>""".encode()
TEXT = f"""Title
{PARAGRAPH} Bold word & more.
“Short.”
def f():
    return  1
{PARAGRAPH}
After a break, a link.
The end."""


def test_a_page_is_its_text_without_its_furniture(read: Read) -> None:
    assert read("a.html", PAGE).rows() == [("", TEXT)]


def test_a_page_that_marks_nothing_is_told_by_lengths_and_links_alone(read: Read) -> None:
    unmarked = re.sub(rb"<(/?)(article|nav|header|footer|aside|form)\b[^>]*>", rb"<\1div>", PAGE)
    unmarked = re.sub(rb' (class|role)="[^"]*"', b"", unmarked)

    text = read("a.html", unmarked)["text"][0]

    assert [line for line in TEXT.split("\n") if line not in text.split("\n")] == []
    assert "Sport" not in text
    assert "Related" not in text
    assert "Home" not in text


def test_ideographs_count_for_more_than_letters(read: Read) -> None:
    sentence = "敏捷的棕色狐狸跳过了懒狗，孩子们从房子的窗户里看着这一切，天气很好，大家都很高兴。"
    page = f"<ul>{LINKS}</ul><p>首页</p><p>{sentence}</p><ul>{LINKS}</ul>".encode()

    assert read("a.html", page)["text"].to_list() == [sentence]


def test_a_page_of_short_lines_is_read_all_the_same(read: Read) -> None:
    assert read("a.html", b"<h1>Haiku</h1><p>old pond</p><p>frog leaps in</p>")["text"].to_list() == [
        "Haiku\nold pond\nfrog leaps in"
    ]


def test_a_form_that_is_the_page_is_not_thrown_away(read: Read) -> None:
    page = f"<body><form><p>{PARAGRAPH}</p><p>{PARAGRAPH}</p></form><p>{PARAGRAPH}</p></body>".encode()

    assert read("a.html", page)["text"][0].split("\n") == [PARAGRAPH] * 3


def test_a_page_without_text_has_none(read: Read) -> None:
    for page in (b"", b"<html><body><img></body></html>", f"<ul>{LINKS}</ul>".encode()):
        assert read("a.html", page).rows() == [("", None)]


def test_selected_elements_are_documents(read: Read) -> None:
    page = (
        b"<article id=first><h1>T</h1><p>One <b>bold</b>\nword</p></article><article><nav>N</nav>Two\xc2\xa03"
    )

    assert read("a.html", page + b"</article>", selector="article").rows() == [
        ("first", "T\nOne bold word"),
        ("2", "Two\u00a03"),
    ]


@pytest.mark.parametrize(
    ("declaration", "codec"),
    [
        ('<meta charset="windows-1251">', "cp1251"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">', "koi8-r"),
        ('<?xml version="1.0" encoding="ISO-8859-5"?>', "iso8859-5"),
        ("", "cp1251"),
        ('<meta charset="windows-1251">', "utf-8"),
    ],
)
def test_a_page_may_say_how_it_is_encoded(declaration: str, codec: str, tmp_path: Path) -> None:
    text = "Бурая лиса прыгает через ленивую собаку, пока дети смотрят из окна своего большого дома."
    (tmp_path / "a.html").write_bytes(f"{declaration}<p>{text}</p>".encode(codec))

    frame, file = read_all(tmp_path / "a.html")

    assert frame["text"].to_list() == [text]
    assert file.report.encoding == codec


def test_a_page_nested_deeper_than_pythons_stack_is_read(read: Read) -> None:
    depth = 5000

    assert read("a.html", b"<div>" * depth + b"deep" + b"</div>" * depth)["text"].to_list() == ["deep"]


def test_a_page_nested_too_deep_to_be_parsed_in_time_is_refused(read: Read) -> None:
    with pytest.raises(BadFileError, match="nested deeper than 20000"):
        read("a.html", b"<div>" * 100_000 + b"deep" + b"</div>" * 100_000, max_document_bytes=2_000_000)


def test_a_long_page_of_unclosed_elements_is_not_taken_for_a_deep_one(read: Read) -> None:
    page = b"<p>word<br>" * 30_000

    assert read("a.html", page)["text"][0].count("word") == 30_000


def test_fifty_megabytes_of_nested_elements_are_refused_at_once(read: Read) -> None:
    with pytest.raises(BadFileError, match="As one document it is larger than 16 MB"):
        read("a.html", b"<div>" * 10_000_000, max_document_bytes=16_000_000)


# --- web archives


def http(body: bytes, kind: str = "text/html", status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def record(number: int, block: bytes, kind: str = "response", length: int | None = None) -> bytes:
    lines = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Record-ID: <urn:uuid:{number:08d}>",
        f"WARC-Target-URI: http://example.org/{number}",
        f"Content-Type: application/http; msgtype={kind}",
        f"Content-Length: {len(block) if length is None else length}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def page_record(number: int, **headers: str) -> bytes:
    return record(number, http(f"<p>Page {number}.</p>".encode(), **headers))


def test_the_pages_of_an_archive_are_its_documents(tmp_path: Path) -> None:
    archive = [
        record(1, b"software: none", kind="warcinfo"),
        page_record(2),
        record(3, b"GET / HTTP/1.1\r\n\r\n", kind="request"),
        record(4, http(b"\x89PNG", kind="image/png")),
        page_record(5, status="404 Not Found"),
        page_record(6, kind="application/xhtml+xml; charset=utf-8"),
        record(7, http(PAGE)),
    ]
    members = b"".join(gzip.compress(part) for part in archive)
    for name, content in (
        ("a.warc", b"".join(archive)),
        ("b.warc.gz", members),
        ("c.warc.zst", pa.compress(b"".join(archive), codec="zstd", asbytes=True)),
    ):
        (tmp_path / name).write_bytes(content)

        assert read_all(tmp_path / name)[0].rows() == [
            ("00000002", "Page 2."),
            ("00000006", "Page 6."),
            ("00000007", TEXT),
        ]


def test_pages_can_be_called_by_their_addresses(read: Read) -> None:
    assert read("a.warc", page_record(1), key="url")["key"].to_list() == ["http://example.org/1"]


def test_the_text_records_of_wet_files_are_taken_as_they_are(read: Read) -> None:
    content = record(1, "Größe\nMaß".encode(), kind="conversion")

    assert read("a.warc.wet", content).rows() == [("00000001", "Größe\nMaß")]


@pytest.mark.parametrize(
    ("body", "headers"),
    ids=["gzip", "deflate", "brotli", "zstd", "chunked", "unpacked", "not brotli"],
    argvalues=[
        (gzip.compress(b"<p>packed"), {"Content_Encoding": "gzip"}),
        (zlib.compress(b"<p>packed"), {"Content_Encoding": "deflate"}),
        (pa.compress(b"<p>packed", codec="brotli", asbytes=True), {"Content_Encoding": "br"}),
        (pa.compress(b"<p>packed", codec="zstd", asbytes=True), {"Content_Encoding": "zstd"}),
        (b"5\r\n<p>pa\r\n4\r\ncked\r\n0\r\n\r\n", {"Transfer_Encoding": "chunked"}),
        (b"<p>packed", {"Content_Encoding": "gzip", "Transfer_Encoding": "chunked"}),
        (b"<p>packed", {"Content_Encoding": "br"}),
    ],
)
def test_pages_are_unpacked_where_the_crawler_left_them_packed(
    body: bytes, headers: dict[str, str], read: Read
) -> None:
    assert read("a.warc", record(1, http(body, **headers)))["text"].to_list() == ["packed"]


@pytest.mark.parametrize(
    "block",
    ids=["truncated", "bomb", "binary", "no encoding", "too deep"],
    argvalues=[
        http(gzip.compress(b"<p>packed")[:-12], Content_Encoding="gzip"),
        http(gzip.compress(b"a" * 2_000_000), Content_Encoding="gzip"),
        http(b"\x89PNG\x00"),
        http(bytes(range(1, 256)) * 10),
        http(b"<div>" * 30_000),
    ],
)
def test_a_page_that_is_no_text_has_none_and_spoils_no_other(block: bytes, read: Read) -> None:
    archive = page_record(1) + record(2, block) + page_record(3)

    assert read("a.warc", archive)["text"].to_list() == ["Page 1.", None, "Page 3."]


def test_pages_of_an_archive_have_encodings_of_their_own(tmp_path: Path) -> None:
    russian = "Бурая лиса прыгает через ленивую собаку, пока дети смотрят из окна своего большого дома."
    (tmp_path / "a.warc").write_bytes(
        record(1, http("<p>Größe".encode()))
        + record(2, http(f"<p>{russian}".encode("koi8-r"), kind="text/html; charset=koi8-r"))
        + record(3, http(f"<meta charset=windows-1251><p>{russian}".encode("cp1251")))
    )

    frame, file = read_all(tmp_path / "a.warc")

    assert frame["text"].to_list() == ["Größe", russian, russian]
    assert file.report.encoding == "cp1251, koi8-r, utf-8"


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (b"no archive at all\n" * 10, "Record 1 of the archive is damaged: Invalid WARC header"),
        (page_record(1) + b"garbage\r\n\r\n" + page_record(2), "Record 2 of the archive is damaged"),
        (page_record(1) + page_record(2)[:-30], "Record 2 of the archive is cut off"),
        (page_record(1) + page_record(2)[:30], "Record 2 of the archive is cut off"),
        (record(1, b"x" * 100, kind="resource")[:-50], "Record 1 of the archive is cut off after 54 bytes"),
        (record(1, http(b"<p>x"), length=1000) + page_record(2), "Record 1 of the archive is cut off"),
        (record(1, http(b"<p>x"), length=20) + page_record(2), "Record 2 of the archive is damaged"),
        (record(1, http(b"<p>x"), length=10**18), "Record 1 of the archive is larger than 1 MB"),
        (record(1, http(b"x" * 2_000_000)), "Record 1 of the archive is larger than 1 MB"),
    ],
)
def test_a_damaged_record_makes_the_archive_a_bad_file(archive: bytes, message: str, read: Read) -> None:
    with pytest.raises(BadFileError, match=message):
        read("a.warc", archive)


# --- all of them


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(
        [
            f"a.{suffix}"
            for suffix in ("txt", "jsonl", "csv", "tsv", "html", "parquet", "arrow", "warc", "wet")
        ]
    ),
    compression=st.sampled_from(["", "", ".gz", ".zst"]),
    content=st.binary(max_size=200),
)
def test_no_bytes_crash_a_reader_in_an_unforeseen_way(
    name: str, compression: str, content: bytes, tmp_path: Path
) -> None:
    from prolepsis.text.corpus.reading import _frames

    for old in tmp_path.iterdir():
        old.unlink()
    (tmp_path / (name + compression)).write_bytes(content)
    (file,) = find_files(tmp_path)[0]
    for plugin in plugins.names("prolepsis.corpus_readers"):
        reader = plugins.load("prolepsis.corpus_readers", plugin)
        if file.suffix in reader.suffixes:
            try:
                for frame in _frames(reader(reader.Config()), file, 1000):
                    assert frame.schema == {"key": pl.String, "text": pl.String}
            except BadFileError as error:
                assert str(error)


@given(st.lists(st.tuples(st.text("ab"), st.one_of(st.none(), st.text("xyz"))), max_size=20))
def test_batches_hold_all_documents_in_order(rows: list[tuple[str, str | None]]) -> None:
    frames = list(batches(rows))

    assert [row for frame in frames for row in frame.rows()] == rows


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.tsv", "a.warc"])
def test_an_empty_file_has_no_documents(name: str, read: Read) -> None:
    assert all(text in (None, "") for text in read(name, b"")["text"])


def test_the_package_of_readers_is_light_to_import() -> None:
    code = (
        "import sys, prolepsis.text.corpus.readers;"
        "heavy = {'pyarrow', 'selectolax', 'fastwarc', 'charset_normalizer', 'torch', 'numba'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_arrow_file_with_two_columns_of_the_name_is_refused(read: Read) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)

    with pytest.raises(BadFileError, match="There are 2 columns 'text'"):
        read("a.arrow", sink.getvalue())


def test_a_damaged_length_of_an_arrow_message_reserves_no_memory(read: Read) -> None:
    content = b"\xff\xff\xff\xff" + (1_700_000_000).to_bytes(4, "little") + b"x" * 1000

    with pytest.raises(BadFileError, match="message that is larger than 256 MB"):
        read("a.arrow.gz", gzip.compress(content))


@pytest.mark.parametrize("delimiter", ["", "||", '"', "\n"])
def test_a_delimiter_is_one_character_that_can_part_fields(delimiter: str) -> None:
    with pytest.raises(ValidationError, match="delimiter"):
        CsvReaderConfig(delimiter=delimiter)


def test_a_selector_that_is_none_is_refused_before_anything_is_read() -> None:
    with pytest.raises(ValidationError, match="no CSS selector"):
        HtmlReaderConfig(selector="div[[")


@pytest.mark.parametrize(
    ("name", "content", "keys"),
    [
        ("a.jsonl", b'{"id": "2", "text": "x"}\n{"text": "y"}\n', ["2", "line 2"]),
        ("a.jsonl", b'{"text": "x"}\n{"id": "1", "text": "y"}\n', ["1", "id 1"]),
        ("a.csv", b"id,text\n3,x\n,y\n", ["3", "line 3"]),
    ],
)
def test_an_id_that_is_the_number_of_a_line_without_one_is_another_key(
    name: str, content: bytes, keys: list[str], read: Read
) -> None:
    assert read(name, content)["key"].to_list() == keys
