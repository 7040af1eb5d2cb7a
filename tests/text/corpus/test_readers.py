import gzip
import io
import json
import tracemalloc
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prolepsis import plugins
from prolepsis.text.corpus.files import BadFileError, find_files
from prolepsis.text.corpus.readers import BATCH_DOCUMENTS, batches
from prolepsis.text.corpus.readers.jsonl import JsonLinesReader, JsonLinesReaderConfig


def parquet(**columns: object) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_parquet(buffer)
    return buffer.getvalue()


# --- text


def test_a_text_file_is_one_document(read) -> None:
    assert read("a.txt", b"one\n\ntwo\n").rows() == [("", "one\n\ntwo\n")]


def test_paragraphs_are_named_by_their_first_line(read) -> None:
    content = b"\n\none\nmore\n\n \ntwo\r\n\r\nthree"

    rows = read("a.txt", content, unit="paragraph").rows()

    assert rows == [("3", "one\nmore\n"), ("7", "two\r\n"), ("9", "three")]


def test_lines_are_named_by_their_number(read) -> None:
    assert read("a.txt", b"one\n\ntwo", unit="line").rows() == [("1", "one\n"), ("3", "two")]


def test_broken_utf8_is_named_with_its_byte_even_far_into_a_file(read) -> None:
    good = "Größe\n".encode() * 1000

    with pytest.raises(BadFileError, match=f"0xff at byte {len(good) + 2}"):
        read("a.txt", good + b"ab\xff", unit="line")


def test_a_binary_file_with_a_text_suffix_is_refused(read) -> None:
    with pytest.raises(BadFileError, match="binary file: NUL at byte 4"):
        read("a.txt", b"ELF \x00\x01\x02")


@pytest.mark.parametrize("unit", ["file", "paragraph", "line"])
def test_a_document_that_is_too_large_is_refused_without_reading_on(unit: str, read) -> None:
    with pytest.raises(BadFileError, match=r"(larger|longer) than 0.001 MB"):
        read("a.txt", b"x" * 500 + b" y" * 5000, max_document_bytes=1000, unit=unit)


def test_a_paragraph_of_many_short_lines_is_bounded_too(read) -> None:
    with pytest.raises(BadFileError, match=r"paragraph of line 1 is longer than 0.001 MB"):
        read("a.txt", b"short\n" * 1000, max_document_bytes=1000, unit="paragraph")


def test_a_line_of_gigabytes_takes_no_more_memory_than_a_document_may(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.jsonl.gz", "wb", compresslevel=1) as stream:
        for _ in range(200):
            stream.write(b"a" * 1_000_000)
    (file,) = find_files(tmp_path)[0]
    reader = JsonLinesReader(JsonLinesReaderConfig())

    tracemalloc.start()
    with pytest.raises(BadFileError, match="Line 1, at byte 0, is longer than 1 MB"):
        list(reader.read(file, 1_000_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 8_000_000


def test_a_truncated_gzip_file_is_damaged_whatever_it_held_before(read) -> None:
    content = gzip.compress(b"".join(json.dumps({"text": str(n)}).encode() + b"\n" for n in range(10_000)))

    with pytest.raises(EOFError):
        read("a.jsonl.gz", content[:-100])


# --- JSON lines


def test_json_lines_give_their_ids_or_their_line_numbers(read) -> None:
    content = b'{"id": "a", "text": "one"}\n\n{"text": "two"}\n{"id": 7, "text": null}\n'

    assert read("a.jsonl", content).rows() == [("a", "one"), ("3", "two"), ("7", None)]


def test_the_keys_of_json_lines_can_be_named(read) -> None:
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
    ],
)
def test_a_line_that_is_no_document_is_named(line: bytes, message: str, read) -> None:
    with pytest.raises(BadFileError, match=message):
        read("a.jsonl", b'{"text": "fine"}\n' + line + b"\n")


# --- CSV


def test_csv_rows_may_hold_line_breaks_and_quotes(read) -> None:
    content = b'id,text\na,"one\nmore, ""quoted"""\n,two\n'

    assert read("a.csv", content).rows() == [("a", 'one\nmore, "quoted"'), ("4", "two")]


def test_tsv_files_are_separated_by_tabs(read) -> None:
    assert read("a.tsv", b"text\tid\none, two\tx\n").rows() == [("x", "one, two")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,body\n1,x\n", "no column 'text'; there is 'id', 'body'"),
        (b"id,text\n1,x,y\n", "Line 2 has 3 fields, the header has 2"),
        (b'id,text\n1,"never closed\nand on\n', "is not CSV"),
    ],
)
def test_broken_csv_is_explained(content: bytes, message: str, read) -> None:
    with pytest.raises(BadFileError, match=message):
        read("a.csv", content)


def test_an_open_quote_does_not_swallow_a_whole_csv_file(read) -> None:
    with pytest.raises(BadFileError, match="field larger than field limit"):
        read("a.csv", b'text\n"' + b"word word\n" * 10_000, max_document_bytes=1000)


def test_an_empty_csv_file_has_no_documents(read) -> None:
    assert read("a.csv", b"").height == 0


# --- Parquet


def test_parquet_rows_give_their_ids_or_their_numbers(read) -> None:
    assert read("a.parquet", parquet(id=[4, None], text=["one", None])).rows() == [("4", "one"), ("2", None)]


def test_parquet_without_ids_is_numbered_across_batches(read) -> None:
    rows = read("a.parquet", parquet(text=[str(n) for n in range(BATCH_DOCUMENTS + 2)]))

    assert rows["key"].to_list() == [str(n) for n in range(1, BATCH_DOCUMENTS + 3)]


def test_an_id_that_is_no_name_is_not_used(read) -> None:
    assert read("a.parquet", parquet(id=[[1], [2]], text=["one", "two"]))["key"].to_list() == ["1", "2"]


def test_parquet_without_the_text_column_says_what_it_has(read) -> None:
    with pytest.raises(BadFileError, match="no column 'text'; there is 'body'"):
        read("a.parquet", parquet(body=["x"]))


def test_a_parquet_column_of_numbers_is_no_text(read) -> None:
    with pytest.raises(BadFileError, match="'text' is int64, not text"):
        read("a.parquet", parquet(text=[1]))


# --- HTML

PAGE = """<!DOCTYPE html><html><head><title>T</title><style>p {}</style></head><body>
<header>Site</header><nav>Home</nav>
<article id="first"><h1>Title</h1><p>One <b>bold</b>
word &amp; more.<script>alert(1)</script></p>after<br>break</article>
<article><p>Two\u00a0three</p></article>
<footer>Imprint</footer></body></html>""".encode()


def test_a_page_is_text_with_a_line_for_each_block_and_without_its_furniture(read) -> None:
    assert read("a.html", PAGE).rows() == [("", "Title\nOne bold word & more.\nafter\nbreak\nTwo\u00a0three")]


def test_selected_elements_are_documents(read) -> None:
    assert read("a.html", PAGE, selector="article").rows() == [
        ("first", "Title\nOne bold word & more.\nafter\nbreak"),
        ("2", "Two\u00a0three"),
    ]


def test_a_page_nested_deeper_than_pythons_stack_is_read(read) -> None:
    depth = 5000

    assert read("a.html", b"<div>" * depth + b"deep" + b"</div>" * depth)["text"].to_list() == ["deep"]


# --- all of them


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(
        ["a.txt", "a.jsonl", "a.csv", "a.tsv", "a.html", "a.parquet", "a.jsonl.gz", "a.txt.zst"]
    ),
    content=st.binary(max_size=200),
)
def test_no_bytes_crash_a_reader_in_an_unforeseen_way(name: str, content: bytes, tmp_path: Path) -> None:
    from prolepsis.text.corpus.ingestion import _frames

    for old in tmp_path.iterdir():
        old.unlink()
    (tmp_path / name).write_bytes(content)
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
