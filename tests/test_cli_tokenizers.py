"""`kedro tokenizers show`, in a project of its own."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project
from rich.console import Console

from prolepsis import cli_tokenizers, plugins
from prolepsis.text.tokenizers import Tokenizer

from support import Project

TEXT = "The train leaves\nat 9"


def train(name: str, **config: Any) -> Tokenizer:
    group = "prolepsis.tokenizers"
    trainer = plugins.load(group, name)(plugins.configure(group, name, config))
    tokenizer: Tokenizer = trainer.train([["The train leaves at 9"] * 9])
    return tokenizer


@pytest.fixture
def folder(project: Project) -> Path:
    return project.path / "data" / "test" / "06_models" / "tokenizers"


@pytest.fixture
def trained(folder: Path) -> Iterator[dict[str, Tokenizer]]:
    found = {
        "mine": train("byte_bpe", vocabulary_size=290),
        "wordpiece": train("wordpiece", vocabulary_size=60),
    }
    for name, tokenizer in found.items():
        tokenizer.save(folder / name)
    yield found


def call(project: Project, *arguments: str) -> tuple[int, str]:
    metadata = bootstrap_project(project.path)
    done = CliRunner().invoke(
        cli_tokenizers.tokenizers, ["show", *arguments, "--env", project.env], obj=metadata
    )
    return done.exit_code, done.output


def test_every_trained_tokenizer_shows_its_tokens_ids_and_counts(
    project: Project, trained: dict[str, Tokenizer]
) -> None:
    code, output = call(project, TEXT)
    assert code == 0
    mine, tokens, ids, wordpiece, *_ = output.splitlines()
    expected = trained["mine"].encode_batch([TEXT])[0]
    assert mine == f"mine  {len(expected)} tokens, 21 characters, {trained['mine'].vocabulary_size} ids"
    assert ids.split() == [str(number) for number in expected]
    assert len(tokens.split(" | ")) == len(expected)
    assert "⏎" in tokens
    assert wordpiece.startswith("wordpiece  ")
    assert "\x1b" not in output  # no colours without a terminal


def test_one_can_be_chosen(project: Project, trained: dict[str, Tokenizer]) -> None:
    code, output = call(project, TEXT, "--tokenizer", "wordpiece")
    assert code == 0
    assert "wordpiece  " in output
    assert "mine" not in output


def test_an_unknown_one_is_answered_with_the_known_ones(
    project: Project, trained: dict[str, Tokenizer]
) -> None:
    code, output = call(project, TEXT, "-t", "wordpeice")
    assert code == 1
    assert "There is no trained tokenizer 'wordpeice'." in output
    assert "Did you mean 'wordpiece'? Known: mine, wordpiece." in output


def test_before_a_training_it_says_how_to_train(project: Project) -> None:
    code, output = call(project, TEXT)
    assert code == 1
    assert "No tokenizer has been trained." in output
    assert "kedro run --pipelines tokenization" in output


def test_on_a_terminal_neighbouring_tokens_have_different_colours(trained: dict[str, Tokenizer]) -> None:
    console = Console(force_terminal=True, color_system="standard", width=200)
    with console.capture() as capture:
        cli_tokenizers._show(console, "mine", trained["mine"], TEXT)
    tokens = capture.get().splitlines()[1]
    colours = [part.split("m")[0] for part in tokens.split("\x1b[")[1:] if not part.startswith("0m")]
    assert len(colours) == len(trained["mine"].encode_batch([TEXT])[0])
    assert all(left != right for left, right in pairwise(colours))


def test_no_text_has_no_tokens(project: Project, trained: dict[str, Tokenizer]) -> None:
    code, output = call(project, "")
    assert code == 0
    assert "mine  0 tokens, 0 characters" in output


def test_a_text_that_is_no_utf8_is_told(project: Project, trained: dict[str, Tokenizer]) -> None:
    code, output = call(project, "\udcff")
    assert code == 1
    assert "The text is not UTF-8" in output
