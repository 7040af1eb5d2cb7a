"""The section on downstream tasks shows every method with its spread, and which one is best."""

from types import SimpleNamespace
from typing import Any

import pytest

from prolepsis.report import downstream
from prolepsis.report.blocks import Block, Details, Grid, LineChart, Picture, Section, Table


@pytest.fixture
def section(run: SimpleNamespace) -> Section:
    return downstream.describe_downstream(
        run.downstream_metrics, run.downstream_per_class, run.downstream_curves, run.word_map
    )


def tables(section: Section) -> list[Table]:
    return [block for block in walk(section.blocks) if isinstance(block, Table)]


def walk(blocks: Any) -> Any:
    for block in blocks:
        yield block
        if isinstance(block, Details | Grid):
            yield from walk(block.blocks)


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def test_all_methods_stand_in_one_table_with_their_deviations(section: Section) -> None:
    comparison = tables(section)[0]
    assert list(comparison.columns) == ["method", "language (accuracy)", "questions (accuracy)"]
    assert texts(comparison) == [
        ["majority", "34.0", "–"],
        ["TF-IDF", "82.0", "–"],
        ["BERT", "91.3 ± 1.2", "91.3 ± 1.2"],
        ["the same without pretraining", "79.7 ± 2.0", "79.7 ± 2.0"],
    ]


def test_the_best_of_each_task_is_strong_and_no_other(section: Section) -> None:
    rows = tables(section)[0].rows
    assert [[cell.strong for cell in row] for row in rows] == [
        [False, False, False],
        [False, False, False],
        [False, True, True],
        [False, False, False],
    ]


def test_each_task_has_its_figures_and_its_classes(section: Section) -> None:
    figures, classes, of_questions = tables(section)[1:4]
    assert texts(figures)[2] == ["BERT", "3", "91.3 ± 1.2", "90.3 ± 1.2"]
    assert figures.caption == "Examples: 1,500 train, 300 validation, 900 test."
    # Means over the seeds: .913 + .01, and five points less for French.
    assert texts(classes)[0] == ["en", "300", "34.0 %", "82.0 %", "92.3 %", "80.7 %"]
    assert texts(classes)[1][4] == "87.3 %"
    # A task without classes has none to show.
    assert list(of_questions.columns) == ["method", "runs", "accuracy", "macro f1"]
    assert len(tables(section)) == 4


def test_pictures_and_curves_are_shown(section: Section) -> None:
    blocks: list[Block] = list(walk(section.blocks))
    assert sum(isinstance(block, Picture) for block in blocks) == 1
    charts = [block for block in blocks if isinstance(block, LineChart)]
    assert [len(chart.lines) for chart in charts] == [6, 6]


def test_the_summary_says_what_pretraining_makes(section: Section) -> None:
    (tile, _) = section.highlights
    assert (tile.label, tile.value) == ("BERT on language", "91.3 %")
    assert tile.note == "test accuracy; pretraining makes +11.6 points"
