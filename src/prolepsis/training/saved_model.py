"""A trained model as it lies on disk: weights, and what made them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from prolepsis.errors import ProlepsisError
from prolepsis.files import atomic_directory, read_json, write_json
from prolepsis.training.checkpoint import independent

if TYPE_CHECKING:
    import polars as pl

_WEIGHTS = "model.safetensors"
_METADATA = "metadata.json"


@dataclass(frozen=True)
class SavedModel:
    """A `state_dict`, and JSON-like metadata such as the configuration to build its model from."""

    state: dict[str, Tensor]
    metadata: dict[str, Any] = field(default_factory=dict)

    def save(self, directory: Path) -> None:
        """Writes `model.safetensors` and `metadata.json`, replacing the folder as a whole."""
        with atomic_directory(directory) as temporary:
            save_file(independent(self.state), temporary / _WEIGHTS)
            write_json(temporary / _METADATA, self.metadata)

    @classmethod
    def load(cls, directory: Path) -> "SavedModel":
        """Reads a folder that `save` wrote; raises ProlepsisError if it is not one."""
        try:
            metadata = read_json(directory / _METADATA)
            if not isinstance(metadata, dict):
                raise ValueError(f"{_METADATA} holds no names with values")
            return cls(load_file(directory / _WEIGHTS), metadata)
        except (SafetensorError, OSError, ValueError) as error:
            raise ProlepsisError(
                f"This is not a saved model: {error}",
                where=directory,
                remedy="run the stage that trains it again",
            ) from error

    def profile(self) -> "pl.DataFrame":
        """One row per tensor: `tensor`, `dtype`, `num_elements`, `finite` (no NaN or infinity in it)."""
        import polars as pl

        rows = [
            (name, str(tensor.dtype).removeprefix("torch."), tensor.numel(), bool(tensor.isfinite().all()))
            for name, tensor in self.state.items()
        ]
        schema = {"tensor": pl.String, "dtype": pl.String, "num_elements": pl.Int64, "finite": pl.Boolean}
        return pl.DataFrame(rows, schema=schema, orient="row")
