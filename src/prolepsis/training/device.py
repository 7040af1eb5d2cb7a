"""Where and how precisely a model computes; decided once per run from names a user may write."""

import random
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

from prolepsis.errors import ProlepsisError

_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
# What PyTorch's allocators and CUDA's libraries say where they raise a plain RuntimeError.
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "STATUS_ALLOC_FAILED")


def resolve_device(name: str = "auto") -> torch.device:
    """The device called `name`: `auto` (the best one present), `cpu`, `mps`, `cuda` or `cuda:1`.

    Raises ProlepsisError for an unknown name and for a device this machine lacks.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ProlepsisError(
            f"There is no device called {name!r}.",
            where="device",
            remedy="write auto, cpu, mps, cuda or cuda:<number>",
        ) from error
    if not _is_present(device):
        raise ProlepsisError(
            f"The device {name!r} was asked for, but this machine does not have it.",
            where="device",
            remedy="write auto or cpu, or install a build of PyTorch that serves this device",
        )
    return device


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """The dtype of a model's forward pass: `fp32`, `bf16`, or `auto` (bf16 on GPUs that compute in it)."""
    if name == "auto":
        has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if has_bf16 else torch.float32
    if name not in _PRECISIONS:
        raise ProlepsisError(
            f"There is no precision called {name!r}.", where="precision", remedy="write auto, fp32 or bf16"
        )
    return _PRECISIONS[name]


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """A context in which a forward pass computes in `dtype` where that is safe; nothing for float32."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype)


def seed_everything(seed: int) -> None:
    """Seeds Python's, NumPy's global and every PyTorch generator."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def random_tensors() -> dict[str, Tensor]:
    """The state of every generator that `seed_everything` seeds, as tensors to put in a checkpoint."""
    _, python_words, python_normal = random.getstate()
    numpy_state = np.random.get_state(legacy=False)
    tensors = {
        # Python's and NumPy's generators keep the second of a pair of normal draws for the next call.
        "python": torch.tensor(python_words, dtype=torch.int64),
        "python_normal": torch.tensor([] if python_normal is None else [python_normal], dtype=torch.float64),
        "numpy": torch.from_numpy(numpy_state["state"]["key"].astype(np.int64)),
        "numpy_position": torch.tensor(numpy_state["state"]["pos"]),
        "numpy_normal": torch.tensor([numpy_state["has_gauss"], numpy_state["gauss"]], dtype=torch.float64),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        tensors |= {f"cuda.{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    if torch.backends.mps.is_available():
        tensors["mps"] = torch.mps.get_rng_state()
    return tensors


def restore_random_tensors(tensors: dict[str, Tensor]) -> None:
    """Puts every generator back to the state that `random_tensors` gave; devices absent now are left out."""
    version, _, _ = random.getstate()
    python_normal = tensors["python_normal"].tolist()
    random.setstate((version, tuple(tensors["python"].tolist()), python_normal[0] if python_normal else None))
    has_normal, normal = tensors["numpy_normal"].tolist()
    key = tensors["numpy"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", key, int(tensors["numpy_position"]), int(has_normal), normal))
    torch.set_rng_state(tensors["torch"])
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            if f"cuda.{i}" in tensors:
                torch.cuda.set_rng_state(tensors[f"cuda.{i}"], i)
    if torch.backends.mps.is_available() and "mps" in tensors:
        torch.mps.set_rng_state(tensors["mps"])


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is what Python, PyTorch or a GPU's library raises when memory is not enough."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)


def release_memory(device: torch.device) -> None:
    """Gives back what PyTorch keeps of the device's memory for later, so that it can be cut anew."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def _is_present(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    if device.type == "mps":
        return torch.backends.mps.is_available()
    return device.type == "cpu"
