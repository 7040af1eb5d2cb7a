"""The bytes of a column of texts, for compiled passes over them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa


def utf8(texts: pl.Series) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The bytes of all texts, and where each begins, with the end of the last, `[len(texts) + 1]`."""
    array: Any = texts.to_arrow().cast(pa.large_string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    _, offsets, data = array.buffers()
    borders = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8), borders
