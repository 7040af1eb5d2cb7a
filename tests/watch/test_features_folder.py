"""A folder in which features arrive while it is watched."""

import threading
from pathlib import Path

import numpy as np
import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.watch.features_folder import FeaturesFolder


def folder_of(path: Path, problems: list[str], *, fast: bool = False) -> FeaturesFolder:
    return FeaturesFolder(
        path, rate=5.0, input_size=3, fast=fast, on_problem=problems.append, clock=lambda: 7.0
    )


class Arrivals(threading.Event):
    """Each wait brings what comes next; after the last it is set."""

    def __init__(self, *arrivals) -> None:
        super().__init__()
        self._left = list(arrivals)

    def wait(self, timeout: float | None = None) -> bool:
        if self._left:
            self._left.pop(0)()
        else:
            self.set()
        return self.is_set()


def header(text: str) -> bytes:
    """A file of NumPy's format, version 1, with that header and nothing after it."""
    return b"\x93NUMPY\x01\x00\x76\x00" + text.ljust(117).encode() + b"\n"


def test_files_are_taken_as_they_arrive_each_once(tmp_path: Path) -> None:
    def write(name: str, first: int, steps: int) -> None:
        rows = np.arange(first, first + steps, dtype=np.float16)[:, None].repeat(3, 1)
        np.save(tmp_path / ".partial.npy", rows if steps > 1 else rows[0])
        (tmp_path / ".partial.npy").replace(tmp_path / name)

    write("1.npy", 0, 2)
    arrivals = Arrivals(
        lambda: None,
        lambda: (write("10.npy", 3, 2), write("9.npy", 2, 1)),
        lambda: write("11.npy", 5, 1),
    )
    problems: list[str] = []
    found = list(folder_of(tmp_path, problems).features(arrivals))
    assert [float(one.feature[0]) for one in found] == [0, 1, 2, 3, 4, 5]
    assert [one.step for one in found] == [0, 1, 2, 3, 4, 5]
    assert [one.time for one in found] == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9, 1.1])
    assert {one.due for one in found} == {7.0}
    assert problems == []


def test_what_cannot_be_read_is_passed_over_and_told_of(tmp_path: Path) -> None:
    np.save(tmp_path / "1.npy", np.ones(3, np.float32))
    (tmp_path / "2.npy").write_bytes(b"\x93NUMPY cut off")
    np.save(tmp_path / "3.npy", np.array([{"a": "pickle"}]), allow_pickle=True)
    (tmp_path / "4.npy.txt").write_text("")
    np.savez(tmp_path / "5", np.ones(3, np.float32))
    (tmp_path / "5.npz").rename(tmp_path / "5.npy")
    (tmp_path / "6.npy").mkdir()
    (tmp_path / "7.npy").write_bytes(header("{'descr': '<f4', 'fortran_or"))
    (tmp_path / "8.npy").write_bytes(
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,), }")
    )
    problems: list[str] = []
    folder = folder_of(tmp_path, problems, fast=True)
    assert len(list(folder.features(threading.Event()))) == 1
    assert [problem.split(" ")[0] for problem in problems] == [
        "4.npy.txt",
        *(f"{number}.npy" for number in (2, 3, 5, 6, 7, 8)),
    ]


def test_names_whose_numbers_are_equal_have_one_order(tmp_path: Path) -> None:
    names = ["001.npy", "01.npy", "1.npy"]
    for number, name in enumerate(names):
        np.save(tmp_path / name, np.full(3, number, np.float32))
    found = list(folder_of(tmp_path, [], fast=True).features(threading.Event()))
    assert [int(one.feature[0]) for one in found] == [0, 1, 2]


def test_a_folder_that_goes_away_is_told_of(tmp_path: Path) -> None:
    folder = tmp_path / "features"
    folder.mkdir()
    with pytest.raises(ProlepsisError, match="cannot be read"):
        list(folder_of(folder, []).features(Arrivals(folder.rmdir, lambda: None)))


@pytest.mark.parametrize(
    "values", [np.ones(4, np.float32), np.ones((2, 2, 3), np.float32), np.ones(3, np.int64), np.float32(1)]
)
def test_arrays_of_another_kind_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "1.npy", values)
    with pytest.raises(ProlepsisError, match=r"takes numbers of floating point, \[3\] or \[steps, 3\]"):
        list(folder_of(tmp_path, [], fast=True).features(threading.Event()))


def test_there_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ProlepsisError, match="no such folder"):
        folder_of(tmp_path / "nothing", [])
