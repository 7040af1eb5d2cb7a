"""`kedro words`, in a project of its own, with vectors in which sense is planted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from prolepsis import cli_words
from prolepsis.cli import cli
from prolepsis.text.word2vec.vectors import WordVectors

from support import Project

ROYAL, MALE, FEMALE, ANIMAL, SMALL = np.eye(5, dtype=np.float32)
PLANTED = {
    "king": ROYAL + MALE,
    "man": MALE,
    "woman": FEMALE,
    "queen": ROYAL + FEMALE,
    "crown": ROYAL,
    "cat": ANIMAL,
    "kitten": ANIMAL + 0.5 * SMALL,
    "##ty": ANIMAL + 0.1 * SMALL,
}


def vectors(languages: Sequence[str | None]) -> WordVectors:
    table = np.stack(list(PLANTED.values())).astype(np.float32)
    counts = np.arange(2000, 2000 - len(PLANTED), -1)
    return WordVectors(list(PLANTED), counts, list(languages), table)


def folder(project: Project) -> Path:
    return project.path / "data" / "test" / "06_models" / "word_vectors"


@pytest.fixture
def trained(project: Project) -> Project:
    vectors(["en"] * len(PLANTED)).save(folder(project))
    return project


def call(project: Project, *arguments: str) -> tuple[int, str]:
    metadata = bootstrap_project(project.path)
    environment = [] if "--env" in arguments else ["--env", project.env]
    done = CliRunner().invoke(cli_words.words, [*arguments, *environment], obj=metadata)
    return done.exit_code, done.output


def rows(output: str) -> list[list[str]]:
    """The cells of the table's rows, below its head."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if "│" in line]


def test_the_nearest_words_come_first_and_pieces_of_words_do_not(trained: Project) -> None:
    code, output = call(trained, "nearest", "cat", "--count", "2")
    assert code == 0
    assert output.splitlines()[0] == "Nearest to cat"
    first, second = rows(output)
    assert first == ["kitten", "0.894", "1,994", "en"]
    assert second[1] == "0.000"


def test_an_analogy_adds_the_first_and_the_last_word_and_takes_away_the_one_between(trained: Project) -> None:
    code, output = call(trained, "analogy", "king", "man", "woman")
    assert code == 0
    assert output.splitlines()[0] == "man is to king as woman is to …  (king - man + woman)"
    found = [row[0] for row in rows(output)]
    assert found[0] == "queen"
    assert not {"king", "man", "woman"} & set(found)
    assert rows(call(trained, "analogy", "man", "king", "queen")[1])[0][0] == "woman"


def test_a_corpus_without_languages_has_no_column_of_them(project: Project) -> None:
    vectors([None] * len(PLANTED)).save(folder(project))
    _, output = call(project, "nearest", "cat", "-n", "1")
    assert "language" not in output
    assert rows(output) == [["kitten", "0.894", "1,994"]]


@pytest.mark.parametrize(
    ("arguments", "asked", "offered"),
    [(["nearest", "kiten"], "kiten", "kitten"), (["analogy", "king", "man", "Woman"], "Woman", "woman")],
)
def test_an_unknown_word_is_answered_with_the_nearest_spelling(
    trained: Project, arguments: list[str], asked: str, offered: str
) -> None:
    code, output = call(trained, *arguments)
    assert code == 1
    assert f"The word {asked!r} has no vector. Did you mean {offered!r}?" in output


def test_before_a_training_it_says_how_to_train(project: Project) -> None:
    code, output = call(project, "nearest", "cat")
    assert code == 1
    assert "No word vectors have been trained." in output
    assert "kedro run --pipelines word2vec" in output


@pytest.mark.parametrize("arguments", [["nearest", "cat", "-n", "0"], ["analogy", "king", "man"]])
def test_a_wrong_call_is_explained(project: Project, arguments: list[str]) -> None:
    code, output = call(project, *arguments)
    assert code == 2
    assert "Usage: words" in output


def test_the_commands_are_among_kedros(project: Project) -> None:
    done: Any = CliRunner().invoke(cli, ["words", "--help"])
    assert done.exit_code == 0
    assert "nearest" in done.output and "analogy" in done.output


def test_an_environment_that_is_not_there_is_told(trained: Project) -> None:
    code, output = call(trained, "nearest", "cat", "--env", "nowhere")
    assert code == 1
    assert output.startswith("Error: ")
    assert "nowhere" in output
