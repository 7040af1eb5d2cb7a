"""Word vectors as a folder."""

from typing import TYPE_CHECKING, Any

from kedro_datasets._typing import TablePreview

from prolepsis.io import previews
from prolepsis.io.local import LocalDataset

if TYPE_CHECKING:
    from prolepsis.text.word2vec.vectors import WordVectors

_PREVIEW_WORDS = 20


class WordVectorsDataset(LocalDataset["WordVectors", "WordVectors"]):
    """Vectors as safetensors and in word2vec's text and binary formats, their vocabulary, and what made them.

    ```yaml
    word_vectors:
      type: prolepsis.io.WordVectorsDataset
      filepath: data/06_models/word_vectors
    ```

    >>> vectors = catalog.load("word_vectors")     # doctest: +SKIP
    >>> vectors.neighbours("river", count=1)       # doctest: +SKIP
    [('valley', 0.74)]
    """

    def save(self, data: "WordVectors") -> None:
        data.save(self._path)

    def load(self) -> "WordVectors":
        from prolepsis.text.word2vec.vectors import WordVectors

        return WordVectors.load(self._path)

    def preview(self) -> TablePreview:
        """The most frequent words and the lengths of their vectors."""
        return previews.table(self.load().profile().head(_PREVIEW_WORDS))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._path.as_posix(), "format": "safetensors, word2vec text and binary"}
