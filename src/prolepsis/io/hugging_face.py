"""Pretrained encoders as Hugging Face folders."""

from typing import TYPE_CHECKING, Any

from kedro_datasets._typing import JSONPreview

from prolepsis.io.local import LocalDataset

if TYPE_CHECKING:
    from prolepsis.text.bert.hugging_face import PretrainedBert


class HuggingFaceModelDataset(LocalDataset["PretrainedBert", "PretrainedBert"]):
    """A `prolepsis.text.bert.hugging_face.PretrainedBert` in a folder that `transformers` also loads.

    ```yaml
    bert_model:
      type: prolepsis.io.HuggingFaceModelDataset
      filepath: data/06_models/bert
    ```

    `transformers.BertForPreTraining.from_pretrained("data/06_models/bert")` gives the same model.
    """

    def save(self, data: "PretrainedBert") -> None:
        data.save(self._path)

    def load(self) -> "PretrainedBert":
        from prolepsis.text.bert.hugging_face import PretrainedBert

        return PretrainedBert.load(self._path)

    def preview(self) -> JSONPreview:
        """The model's `config.json`."""
        return JSONPreview((self._path / "config.json").read_text(encoding="utf-8"))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._path.as_posix(), "format": "safetensors"}
