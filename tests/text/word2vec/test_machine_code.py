"""Loops are compiled once, by a process of their own, into files that need nothing of Python."""

import os
import subprocess
from pathlib import Path

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numpy as np
import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.text.word2vec import machine_code
from prolepsis.text.word2vec.machine_code import CACHE_VARIABLE, KernelForm, load_kernel

FORM = KernelForm("cbow", 16, 3, False, False, False, True, "uint16", "float32")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    load_kernel.cache_clear()
    return tmp_path / "cache"


def test_a_loop_is_compiled_once_and_then_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_kernel(FORM)
    (file,) = folder.iterdir()
    load_kernel.cache_clear()
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("compiled again"))
    assert load_kernel(FORM).form == FORM
    assert load_kernel(FORM) is load_kernel(FORM)
    assert file.name.startswith("word2vec-cbow-") and file.suffix == ".o"


def test_every_form_and_processor_has_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [FORM._replace(dimension=32), FORM._replace(real="float64"), FORM._replace(shrink=False)]
    keys = [machine_code._key(form) for form in (FORM, *others)]
    monkeypatch.setattr(llvm, "get_host_cpu_name", lambda: "another")
    assert len({*keys, machine_code._key(FORM)}) == 5


def test_what_cannot_be_compiled_is_a_message(folder: Path) -> None:
    with pytest.raises(ProlepsisError, match="could not be compiled") as caught:
        load_kernel(FORM._replace(token="float16"))
    assert "run it by hand" in str(caught.value)
    assert not any(folder.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="other rules of access")
def test_where_nothing_can_be_written_it_is_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    load_kernel.cache_clear()
    with pytest.raises(ProlepsisError, match="no folder") as caught:
        load_kernel(FORM)
    assert CACHE_VARIABLE in (caught.value.remedy or "")


def test_the_users_own_folder_serves_where_the_programs_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    own = tmp_path / "prolepsis"
    monkeypatch.setattr(os, "access", lambda folder, mode: folder == own)
    assert machine_code._writable(machine_code._cache_folders()) == own


def test_arrays_of_another_type_or_with_gaps_are_refused() -> None:
    for array in (np.zeros(3, np.int32), np.zeros(6)[::2]):
        with pytest.raises(TypeError, match="is expected"):
            machine_code._address(array, "float64*")
