"""The notebooks run from top to bottom in a folder of their own, and reach what they say."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NAMES = ("frames", "words")
TIMEOUT_S = 900  # of a cell; what takes seconds alone may take minutes beside other tests


@pytest.mark.parametrize("name", NAMES)
def test_the_notebooks_are_committed_without_outputs(name: str):
    for cell in _code_cells(_read(name)):
        assert cell.outputs == []
        assert cell.execution_count is None


def test_words_finds_what_was_planted_and_learns_from_context(tmp_path: Path):
    notebook = _run("words", tmp_path)

    found = _text(_cell(notebook, "found = {"))
    assert found.count("20 of 20") == 2  # both kinds of duplicates

    masked, unigram = map(float, re.findall(r"(\d+\.\d+) nats", _text(_cell(notebook, "result = pretrain("))))
    assert masked < unigram - 0.3

    first, guesses = _text(_cell(notebook, "def fill(")).splitlines()[:2]
    assert "capital and largest" in first
    assert "city" in guesses
    assert _num_pictures(notebook) == 3
    assert list(tmp_path.iterdir()) == []


def test_frames_streams_what_it_scores_and_beats_chance(tmp_path: Path):
    notebook = _run("frames", tmp_path)

    said = _text(_cell(notebook, "evaluate_detection("))
    (difference,) = re.findall(r"at most (\S+) apart", said)
    assert float(difference) < 1e-4
    (precision,) = re.findall(r"per-frame mAP (\S+)", said)
    assert float(precision) > 0.4  # chance is a class's share of the frames, about 0.15
    assert _num_pictures(notebook) == 4
    assert list(tmp_path.iterdir()) == []


def _run(name: str, folder: Path) -> NotebookNode:
    notebook = _read(name)
    # Without folders to search for kernels there is only ipykernel's own, which is the running interpreter.
    manager = AsyncKernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    # Pictures are to be outputs, as for a person.
    environment = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"}
    client = NotebookClient(notebook, km=manager, timeout=TIMEOUT_S)
    client.execute(cwd=str(folder), env=environment)
    return notebook


def _read(name: str) -> NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def _code_cells(notebook: NotebookNode) -> Iterator[NotebookNode]:
    return (cell for cell in notebook.cells if cell.cell_type == "code")


def _cell(notebook: NotebookNode, code: str) -> NotebookNode:
    (cell,) = [cell for cell in _code_cells(notebook) if code in cell.source]
    return cell


def _text(cell: NotebookNode) -> str:
    """What a cell printed, and the text of its value."""
    return "".join(
        output.text if output.output_type == "stream" else output.data["text/plain"]
        for output in cell.outputs
    )


def _num_pictures(notebook: NotebookNode) -> int:
    outputs = [output for cell in _code_cells(notebook) for output in cell.outputs]
    return sum("image/png" in output.get("data", {}) for output in outputs)
