import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prolepsis.errors import ProlepsisError
from prolepsis.text.corpus.filters.decontamination import (
    BUILT_IN,
    DecontaminationConfig,
    DecontaminationFilter,
    read_evaluation_set,
)
from prolepsis.text.word2vec.evaluation import locate_evaluation_set

Documents = Callable[..., pl.DataFrame]

QUESTION = "Which of the seven rivers of the old kingdom flows to the northern sea?"


def judge(
    documents: Documents, files: list[Path], *texts: str, **config: Any
) -> list[tuple[str | None, float | None]]:
    plugin = DecontaminationFilter(DecontaminationConfig(files=files, builtin=False, **config))
    judged = plugin.judge(documents(*texts))
    return list(zip(judged["reason"], judged["score"], strict=True))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("set.txt", f"{QUESTION}\n"),
        ("set.tsv", f"# a comment\n{QUESTION}\tthe third\n"),
        ("set.csv", f'question,answer\n"{QUESTION}","the ""third"""\n'),
        ("set.jsonl", json.dumps({"data": [{"question": QUESTION}, 3, None]}) + "\n\n"),
    ],
)
def test_a_document_with_a_question_of_the_set_is_dropped(
    name: str, content: str, documents: Documents, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    asked = (
        "Yesterday I was asked: «which of the SEVEN rivers, of the old kingdom, flows to the northern séa»?"
    )

    assert judge(documents, [tmp_path / name], "Some other text.", asked, "") == [
        (None, None),
        ("contaminated", 2),  # of 14 words there are two runs of 13
        (None, None),
    ]


def test_twelve_shared_words_are_no_contamination(documents: Documents, tmp_path: Path) -> None:
    (tmp_path / "set.txt").write_text(QUESTION)
    start = QUESTION.split()[:12]

    assert judge(documents, [tmp_path / "set.txt"], " ".join([*start, "flew"])) == [(None, None)]
    assert judge(documents, [tmp_path / "set.txt"], " ".join([*start, "flew"]), ngram_words=12) == [
        ("contaminated", 1)
    ]


def test_short_items_are_found_where_they_are_listed_alike(documents: Documents, tmp_path: Path) -> None:
    pairs = [f"left{letter} right{letter}" for letter in "abcdefghijkl"]
    (tmp_path / "pairs.tsv").write_text("\n".join(pair.replace(" ", "\t") for pair in pairs))

    assert judge(documents, [tmp_path / "pairs.tsv"], "; ".join(pairs[:7]), "; ".join(pairs[::-1])) == [
        ("contaminated", 2),
        (None, None),
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    evaluated=st.lists(st.sampled_from("abc"), min_size=3, max_size=12),
    texts=st.lists(st.lists(st.sampled_from("abc")), max_size=4),
)
def test_shared_runs_are_counted_as_by_hand(
    evaluated: list[str], texts: list[list[str]], documents: Documents, tmp_path: Path
) -> None:
    (tmp_path / "set.txt").write_text(" ".join(evaluated))

    def runs(words: list[str]) -> list[tuple[str, ...]]:
        return [tuple(words[start : start + 3]) for start in range(len(words) - 2)]

    shared = [sum(run in runs(evaluated) for run in runs(words)) for words in texts]

    assert judge(documents, [tmp_path / "set.txt"], *map(" ".join, texts), ngram_words=3) == [
        ("contaminated", count) if count else (None, None) for count in shared
    ]


def test_the_sets_that_vectors_are_scored_with_count_by_default(documents: Documents) -> None:
    pytest.importorskip("gensim")
    plugin = DecontaminationFilter(DecontaminationConfig())
    lines = locate_evaluation_set(BUILT_IN[0]).read_text().splitlines()

    reasons = plugin.judge(documents("\n".join(lines[5:15]), "A text of one's own."))["reason"].to_list()

    assert reasons == ["contaminated", None]


def test_without_gensim_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prolepsis.text.word2vec.evaluation.find_spec", lambda name: None)

    with pytest.raises(ProlepsisError, match="gensim") as caught:
        DecontaminationFilter(DecontaminationConfig())

    assert "builtin: false" in str(caught.value)


def test_without_any_set_there_is_nothing_to_do() -> None:
    with pytest.raises(ValidationError, match="no evaluation set"):
        DecontaminationConfig(builtin=False)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("set.parquet", b"PAR1", "cannot be read from a file '.parquet'"),
        ("set", b"", "without a suffix"),
        ("set.txt", None, "no such evaluation set"),
        ("set.txt", b"caf\xe9", "not UTF-8"),
        ("set.jsonl", b'{"a": 1}\n{"a": ', "not JSON"),
        ("set.jsonl", b"[" * 100_000, "not JSON"),
    ],
)
def test_a_set_that_cannot_be_read_is_refused(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(ProlepsisError, match=message):
        read_evaluation_set(tmp_path / name)


def test_the_filter_can_be_sent_to_another_process(documents: Documents, tmp_path: Path) -> None:
    (tmp_path / "set.txt").write_text(QUESTION)
    plugin = DecontaminationFilter(DecontaminationConfig(files=[tmp_path / "set.txt"], builtin=False))

    judged = pickle.loads(pickle.dumps(plugin)).judge(documents(QUESTION))

    assert judged["reason"].to_list() == ["contaminated"]
