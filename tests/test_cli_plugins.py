"""`kedro plugins`, with a distribution of its own on the path."""

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from prolepsis import plugins
from prolepsis.cli_plugins import plugins as command

_MODULE = '''
    from typing import Literal
    from pydantic import BaseModel, Field

    class Config(BaseModel):
        sizes: list[int] = Field(description="Widths of the layers.")
        mode: Literal["a", "b"] = "b"
        names: list[str] = Field(default_factory=lambda: ["x"])

    class Detector:
        """Detects what is there
        in two lines.

        And this is the second paragraph.
        """

        Config = Config
'''


@pytest.fixture(autouse=True)
def outside_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two plugins of one module, and one whose module is broken."""
    (tmp_path / "outside_plugin.py").write_text(textwrap.dedent(_MODULE))
    (tmp_path / "broken_plugin.py").write_text(
        'import nowhere_to_be_found\nclass Broken:\n    """Is broken."""\n'
    )
    info = tmp_path / "outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[prolepsis.action_detectors]\noutside = outside_plugin:Detector\nbroken = broken_plugin:Broken\n"
        "[prolepsis.corpus_filters]\nshared = outside_plugin:Detector\n"
        "[prolepsis.tokenizers]\nshared = outside_plugin:Detector\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    plugins._entry_points.cache_clear()
    yield
    plugins._entry_points.cache_clear()
    sys.modules.pop("outside_plugin", None)


def call(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(command, list(arguments))
    return done.exit_code, done.output


def test_the_list_tells_every_plugin_without_importing_it() -> None:
    code, output = call("list", "action_detectors")
    assert code == 0
    row = next(line for line in output.splitlines() if " outside " in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "action_detectors",
        "outside",
        "outside_plugin",
        "Detects what is there in two lines.",
    ]
    assert "Is broken." in output
    assert "second paragraph" not in output
    assert "outside_plugin" not in sys.modules


def test_the_whole_list_has_every_group() -> None:
    code, output = call("list")
    assert code == 0
    groups = {line.strip("│").split("│")[0].strip() for line in output.splitlines() if line.startswith("│")}
    assert groups - {""} == {name.removeprefix("prolepsis.") for name in plugins.GROUPS}


def test_show_tells_each_key_with_type_default_and_meaning() -> None:
    code, output = call("show", "outside")
    assert code == 0
    assert "outside · prolepsis.action_detectors · outside_plugin:Detector" in output
    rows = {
        cells[0]: cells[1:]
        for line in output.splitlines()
        if line.startswith("│")
        for cells in [[cell.strip() for cell in line.strip("│").split("│")]]
    }
    assert rows == {
        "sizes": ["list[int]", "(must be given)", "Widths of the layers."],
        "mode": ["Literal['a', 'b']", "'b'", ""],
        "names": ["list[str]", "['x']", ""],
    }


def test_show_tells_all_plugins_of_one_name() -> None:
    _, output = call("show", "shared")
    found = re.findall(r"^shared · (\S+)", output, re.MULTILINE)
    assert found == ["prolepsis.corpus_filters", "prolepsis.tokenizers"]


def test_unknown_names_and_groups_are_answered_with_the_known_ones() -> None:
    assert call("show", "outsider") == (1, f"Error: There is no plugin 'outsider'. Known: {known_names()}.\n")
    code, output = call("list", "detectors")
    assert code == 1
    assert "There is no plugin group 'detectors'. Known: corpus_readers, " in output


def test_a_plugin_that_cannot_be_imported_says_why() -> None:
    code, output = call("show", "broken")
    assert code == 1
    assert "No module named 'nowhere_to_be_found'" in output


def known_names() -> str:
    return ", ".join(sorted({name for group in plugins.GROUPS for name in plugins.names(group)}))
