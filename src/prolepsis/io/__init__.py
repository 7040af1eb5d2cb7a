"""Kedro datasets: each writes to a temporary name and renames, so a file is whole or absent.

`type: prolepsis.io.ParquetDataset` in the catalog; nothing is imported before it is used.
"""

from importlib import import_module
from typing import Any

_MODULES = {
    "FeatureStoreDataset": "features",
    "FileDataset": "folders",
    "FolderDataset": "folders",
    "FrameImagesDataset": "frame_images",
    "HuggingFaceModelDataset": "hugging_face",
    "JSONDataset": "documents",
    "JSONFolderDataset": "documents",
    "ModelDataset": "models",
    "ParquetDataset": "parquet",
    "ParquetShardsDataset": "parquet",
    "PictureDataset": "pictures",
    "TextDataset": "documents",
    "TokenShardsDataset": "tokenizers",
    "TokenizerDataset": "tokenizers",
    "WordVectorsDataset": "word_vectors",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
