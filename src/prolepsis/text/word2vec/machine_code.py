"""word2vec's training loops as machine code: compiled once by a process of its own, then read from a file.

numba and all it imports would take as much memory as the training itself, and most of a short run's start.
So `python -m prolepsis.text.word2vec.machine_code FORM FILE` compiles a loop of `kernels` and writes it as an
object file; the process that trains loads that file with llvmlite alone.

The files lie beside this one, or in the user's cache folder where that place cannot be written, or in
PROLEPSIS_CACHE_DIR. Their names change with the code, numba, LLVM and the processor.
"""

import ctypes
import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from prolepsis.errors import ProlepsisError
from prolepsis.files import atomic_file, fingerprint, sha256_file

CACHE_VARIABLE = "PROLEPSIS_CACHE_DIR"
_SYMBOL = "train"
_MATHEMATICS = {"exp", "expf", "log", "logf", "log1p"}
_SOURCES = ("kernels.py", "machine_code.py", "blocks.py", "config.py")
_logger = logging.getLogger(__name__)

# What a loop is given, in this order: name and type, a pointer where that ends with *.
ARGUMENTS = {
    "tokens": "token*",
    "num_tokens": "int64",
    "offsets": "int64*",
    "num_documents": "int64",
    "rows": "int32*",
    "num_ids": "int64",
    "keep": "float32*",
    "thresholds": "float32*",
    "aliases": "int32*",
    "path_offsets": "int64*",
    "path_nodes": "int32*",
    "path_signs": "int8*",
    "num_nodes": "int64",
    "inputs": "real*",
    "outputs": "real*",
    "num_rows": "int64",
    "words": "int32*",
    "targets": "int32*",
    "signs": "real*",
    "slopes": "real*",
    "vectors": "real*",
    "updates": "real*",
    "change": "real*",
    "hidden": "real*",
    "window": "int64",
    "first_rate": "float64",
    "fall": "float64",
    "floor": "float64",
    "seed": "uint64",
    "result": "float64*",
}


class Sampling(NamedTuple):
    """What the kernel draws with.

    Attributes:
        rows: the row of each token id.
        keep: how often an occurrence of each row is trained on.
        thresholds, aliases: the noise's alias table; empty in hierarchical softmax.
        path_offsets, path_nodes, path_signs: `HuffmanPaths`; empty in negative sampling.
    """

    rows: NDArray[np.int32]
    keep: NDArray[np.float32]
    thresholds: NDArray[np.float32]
    aliases: NDArray[np.int32]
    path_offsets: NDArray[np.int64]
    path_nodes: NDArray[np.int32]
    path_signs: NDArray[np.int8]


class Scratch(NamedTuple):
    """Memory of one call: the block's words, and the targets and vectors of one prediction."""

    words: NDArray[np.int32]
    targets: NDArray[np.int32]
    signs: NDArray[Any]
    slopes: NDArray[Any]
    vectors: NDArray[Any]
    updates: NDArray[Any]
    change: NDArray[Any]
    hidden: NDArray[Any]

    @classmethod
    def allocate(cls, form: "KernelForm", num_tokens: int) -> "Scratch":
        """Of a form, for a block; the signs are those of a centre and its noise words."""
        real, targets = np.dtype(form.real), form.most_targets
        signs = np.full(targets, -1, real)
        signs[0] = 1
        return cls(
            np.empty(num_tokens, np.int32),
            np.empty(targets, np.int32),
            signs,
            np.empty(targets, real),
            np.empty((targets, form.dimension), real),
            np.empty((targets, form.dimension), real),
            np.empty(form.dimension, real),
            np.empty(form.dimension, real),
        )


class KernelForm(NamedTuple):
    """Which of its forms a loop is compiled for.

    Attributes:
        dimension: numbers in a row of the tables.
        most_targets: the most output rows that are scored for a prediction.
        token, real: dtypes of the token ids and of the tables.
    """

    loop: Literal["skip_gram", "skip_gram_by_pairs", "cbow"]
    dimension: int
    most_targets: int
    hierarchical: bool
    skip_saturated: bool
    exact_gradient: bool
    shrink: bool
    token: str
    real: str

    def argument_types(self) -> list[str]:
        """The types of `ARGUMENTS` in this form."""
        return [kind.replace("token", self.token).replace("real", self.real) for kind in ARGUMENTS.values()]


class Kernel:
    """A loop, ready to be called from any thread; it runs without Python's lock."""

    def __init__(self, form: KernelForm, machine_code: bytes) -> None:
        self.form = form
        # The engine owns the code, and must live as long as it may be called.
        self._engine = _execution_engine(machine_code)
        kinds: list[Any] = [
            ctypes.c_void_p if kind.endswith("*") else _SCALARS[kind] for kind in form.argument_types()
        ]
        self._call = ctypes.CFUNCTYPE(None, *kinds)(self._engine.get_function_address(_SYMBOL))

    def __call__(self, **arguments: Any) -> tuple[float, int]:
        """Trains on whole documents; returns the sum of the predictions' losses, and their number.

        Args:
            arguments: those of `ARGUMENTS` but for the result; arrays are contiguous, of the form's dtypes.
        """
        result = np.zeros(2)
        arguments["result"] = result
        self._call(
            *(
                _address(arguments[name], kind) if kind.endswith("*") else arguments[name]
                for name, kind in zip(ARGUMENTS, self.form.argument_types(), strict=True)
            )
        )
        return float(result[0]), int(result[1])


def _address(array: NDArray[Any], kind: str) -> int:
    """Where an array's numbers lie; what is compiled would take others for what it expects."""
    if array.dtype.name != kind.removesuffix("*") or not array.flags.c_contiguous:
        raise TypeError(f"an array of {array.dtype}, where {kind} without gaps is expected")
    return int(array.ctypes.data)


_SCALARS = {"int64": ctypes.c_int64, "uint64": ctypes.c_uint64, "float64": ctypes.c_double}


@cache
def load_kernel(form: KernelForm) -> Kernel:
    """The loop in this form, compiled first where no earlier run did.

    Raises:
        ProlepsisError: it cannot be compiled.
    """
    name = f"word2vec-{form.loop}-{_key(form)}.o"
    folders = _cache_folders()
    for folder in folders:
        if (folder / name).is_file():
            return Kernel(form, (folder / name).read_bytes())
    file = _writable(folders) / name
    _logger.info("Compiling word2vec's loop for this processor, once for all runs like this one.")
    command = [sys.executable, "-m", __name__, json.dumps(form), str(file)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 (this module)
    if done.returncode != 0:
        raise ProlepsisError(
            f"word2vec's loop could not be compiled: {done.stderr.strip().splitlines()[-1:]}",
            where=file,
            remedy=f"run it by hand to see all of what it says: {' '.join(command)}",
        )
    return Kernel(form, file.read_bytes())


def _key(form: KernelForm) -> str:
    """Changes with everything that the machine code depends on."""
    sources = [sha256_file(Path(__file__).with_name(name)) for name in _SOURCES]
    processor = [llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    return fingerprint([list(form), sources, version("numba"), version("llvmlite"), processor])


def _cache_folders() -> list[Path]:
    """Where machine code may lie, the first choice first."""
    if CACHE_VARIABLE in os.environ:
        return [Path(os.environ[CACHE_VARIABLE])]
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    own = Path(os.environ.get(variable) or Path.home() / ".cache") / "prolepsis"
    return [Path(__file__).with_name("__pycache__"), own]


def _writable(folders: Sequence[Path]) -> Path:
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise ProlepsisError(
        "There is no folder that compiled code can be written to.",
        where=folders[-1],
        remedy=f"name one in {CACHE_VARIABLE}",
    )


def _execution_engine(machine_code: bytes) -> Any:
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(machine_code))
    engine.finalize_object()
    return engine


def _target_machine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        codemodel="jitdefault",
        jit=True,
    )


def _compile(form: KernelForm, file: Path) -> None:
    """Writes a loop as an object file that needs nothing but the C library's mathematics."""
    from prolepsis.text.word2vec.kernels import compile_kernel

    code, name = compile_kernel(form)
    machine, module = _target_machine(), llvm.parse_assembly(code.replace(name, _SYMBOL))
    # numba leaves the way open for exceptions. Told that all functions are called from here only, LLVM sees
    # that there are none, and drops what would raise them in Python.
    for function in module.functions:
        if not function.is_declaration and function.name != _SYMBOL:
            function.linkage = "internal"
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    needed = {function.name for function in module.functions if function.is_declaration}
    foreign = {name for name in needed if not name.startswith("llvm.")} - _MATHEMATICS
    if foreign:
        raise RuntimeError(f"the loop calls {sorted(foreign)}")
    with atomic_file(file) as temporary:
        temporary.write_bytes(machine.emit_object(module))


if __name__ == "__main__":
    _compile(KernelForm(*json.loads(sys.argv[1])), Path(sys.argv[2]))
