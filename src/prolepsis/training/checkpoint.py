"""Where an interrupted training continues from.

A checkpoint is one safetensors file: tensors as its body, everything else as JSON in its header, so that a
single rename puts a whole checkpoint in place. It carries a fingerprint of what made it (data, parameters);
one with another fingerprint is ignored, since continuing from it would give a model that no run of the
present parameters gives.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from prolepsis.files import atomic_file

CURVES_FILE = "curves.jsonl"
_PATTERN = "step-*.safetensors"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A training run's state after `step` steps: its tensors (on the CPU) and its JSON-like rest."""

    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]


def clear_checkpoints(directory: Path) -> None:
    """Removes what a training run left in its directory, and the directory if nothing else is in it.

    To be called when what was trained is safely written: a finished run keeps its last checkpoint until then.
    """
    for path in (*directory.glob(_PATTERN), directory / CURVES_FILE):
        path.unlink(missing_ok=True)
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()


class CheckpointStore:
    """The last checkpoint of one training run, in a directory that is this run's own."""

    def __init__(self, directory: Path, fingerprint: str) -> None:
        self.directory = directory
        self._fingerprint = fingerprint

    def save(self, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Writes a checkpoint atomically, then removes those before it."""
        path = self.directory / f"step-{step:010d}.safetensors"
        header = {"fingerprint": self._fingerprint, "step": step, "state": state}
        with atomic_file(path) as temporary:
            save_file(independent(tensors), temporary, metadata={"checkpoint": json.dumps(header)})
        for other in self._files():
            if other != path:
                other.unlink()

    def latest(self) -> Checkpoint | None:
        """The newest whole checkpoint of this run's fingerprint; what has to be passed over is logged."""
        for path in reversed(self._files()):
            try:
                checkpoint = self._read(path)
            except (SafetensorError, OSError, ValueError, KeyError) as error:
                _logger.warning("Ignoring the checkpoint %s, which cannot be read: %s", path, error)
                continue
            if checkpoint is not None:
                return checkpoint
            _logger.warning(
                "Ignoring the checkpoint %s: other data or parameters made it, so training starts anew.",
                path,
            )
        return None

    def _files(self) -> list[Path]:
        return sorted(self.directory.glob(_PATTERN))

    def _read(self, path: Path) -> Checkpoint | None:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["checkpoint"])
            if header["fingerprint"] != self._fingerprint:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        return Checkpoint(header["step"], tensors, header["state"])


def independent(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU that share no memory, as safetensors asks; tied weights become equal copies."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
