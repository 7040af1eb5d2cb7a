"""Trained models: tensors as safetensors beside a JSON of what made them."""

from typing import TYPE_CHECKING, Any

from prolepsis.io.local import LocalDataset

if TYPE_CHECKING:
    from prolepsis.training.saved_model import SavedModel


class ModelDataset(LocalDataset["SavedModel", "SavedModel"]):
    """A `prolepsis.training.saved_model.SavedModel` in a folder.

    ```yaml
    "{variant}.model":
      type: prolepsis.io.ModelDataset
      filepath: data/06_models/detectors/{variant}
    ```
    """

    def save(self, data: "SavedModel") -> None:
        data.save(self._path)

    def load(self) -> "SavedModel":
        from prolepsis.training.saved_model import SavedModel

        return SavedModel.load(self._path)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._path.as_posix(), "format": "safetensors"}
