"""Fixtures shared by all tests: the real data beside the repository, and a Kedro project of one's own."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from support import ROOT, Project, copy_project

if TYPE_CHECKING:
    import torch

SHARED_DATA = ROOT.parent / "shared" / "data"

os.environ.update(
    DO_NOT_TRACK="1",
    KEDRO_DISABLE_TELEMETRY="1",
    DVC_NO_ANALYTICS="1",
    MPLBACKEND="Agg",
    OMP_WAIT_POLICY="PASSIVE",
    OMP_NUM_THREADS="1",  # the workers of pytest-xdist share the cores; threads that wait for one spin
)

# The same examples in every run, however slow the machine; `--hypothesis-profile=search` looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=1000, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data that is not part of a clone; a test that needs it is skipped without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the shared data is absent: {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project in `tmp_path` that runs the installed package with the configuration of `conf/test`."""
    path = copy_project(tmp_path / "project")
    monkeypatch.chdir(path)
    return Project(path)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch's arithmetic in one thread: the same bits every time, and no threads that wait for others."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def gpu() -> "torch.device":
    """A GPU; a test that needs one is skipped without it."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("PyTorch finds no GPU that it calls cuda")
    return torch.device("cuda")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a browser; a test that needs one is skipped without it."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium is installed: 'apt-get install chromium' brings Debian's")
