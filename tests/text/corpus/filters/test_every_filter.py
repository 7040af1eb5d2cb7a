"""What holds for all filters that look at one document at a time."""

import math
import re
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prolepsis import plugins
from prolepsis.text.corpus.filtering import DocumentFilter

Documents = Callable[..., pl.DataFrame]

NAMES = ["c4", "c4_paragraphs", "decontamination", "fineweb", "gopher_quality", "gopher_repetition", "pii"]
# Of rules that ask whether something is there, not how much of it.
WITHOUT_SCORE = {"lorem_ipsum", "curly_bracket"}

TEXTS = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
        st.lists(
            st.sampled_from(["the", "and.", "#", "…", "-", "\n", "{", "1.", "中", "lorem ipsum"]), max_size=90
        ).map(" ".join),
    ),
    max_size=4,
)


def build(plugin: Any, **config: Any) -> DocumentFilter:
    built: DocumentFilter = plugin(plugin.Config(**config))
    return built


@pytest.fixture(scope="module", params=NAMES)
def plugin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DocumentFilter:
    kind = plugins.load("prolepsis.corpus_filters", request.param)
    if request.param != "decontamination":
        return build(kind)
    evaluated = tmp_path_factory.mktemp("sets") / "set.txt"
    evaluated.write_text("the and the and the and the and the and the and the")
    return build(kind, files=[evaluated], builtin=False)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS)
def test_rows_stay_in_order_and_a_score_goes_with_a_reason(
    texts: list[str], plugin: DocumentFilter, documents: Documents
) -> None:
    batch = documents(*texts)

    judged = plugin.judge(batch)

    assert judged.columns == [*batch.columns, "reason", "score"]
    assert judged.schema["reason"] == pl.String
    assert judged.schema["score"] == pl.Float64
    assert judged.drop("text", "reason", "score").equals(batch.drop("text"))
    assert judged["text"].null_count() == 0
    for reason, score in zip(judged["reason"], judged["score"], strict=True):
        assert reason is None or re.fullmatch("[a-z0-9_]+", reason)
        assert (score is None) == (reason is None or reason in WITHOUT_SCORE)
        assert score is None or not math.isnan(score)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS)
def test_a_document_is_judged_without_regard_to_the_others(
    texts: list[str], plugin: DocumentFilter, documents: Documents
) -> None:
    together = plugin.judge(documents(*texts))

    alone = [plugin.judge(documents(text)) for text in texts]

    assert together["reason"].to_list() == [each["reason"][0] for each in alone]
    assert together["text"].to_list() == [each["text"][0] for each in alone]
    assert together["score"].to_list() == [each["score"][0] for each in alone]


def test_a_batch_without_documents_is_judged(plugin: DocumentFilter, documents: Documents) -> None:
    judged = plugin.judge(documents())

    assert judged.height == 0
    assert {"reason", "score"} <= set(judged.columns)


@pytest.mark.parametrize("unit", ["word ", "word", "a\n", "中", ". ", "the same line again\n"])
def test_a_document_of_a_megabyte_is_judged(unit: str, plugin: DocumentFilter, documents: Documents) -> None:
    judged = plugin.judge(documents("before", unit * (1_000_000 // len(unit)), "after"))

    alone = plugin.judge(documents("before", "after"))
    assert judged["reason"].gather([0, 2]).to_list() == alone["reason"].to_list()
