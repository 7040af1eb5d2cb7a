from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from prolepsis import plugins
from prolepsis.text.corpus.files import find_files

Read = Callable[..., pl.DataFrame]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Writes bytes to a file and reads it with the plugin for it: a frame with `key` and `text`."""

    def read_bytes(
        name: str, content: bytes, max_document_bytes: int = 1_000_000, **config: object
    ) -> pl.DataFrame:
        (tmp_path / name).write_bytes(content)
        (file,) = find_files(tmp_path)[0]
        for plugin in plugins.names("prolepsis.corpus_readers"):
            reader = plugins.load("prolepsis.corpus_readers", plugin)
            if file.suffix in reader.suffixes:
                frames = list(reader(reader.Config(**config)).read(file, max_document_bytes))
                return (
                    pl.concat(frames)
                    if frames
                    else pl.DataFrame(schema={"key": pl.String, "text": pl.String})
                )
        raise AssertionError(f"no reader takes {name}")

    return read_bytes


@pytest.fixture
def documents() -> Callable[..., pl.DataFrame]:
    """Texts as filters get them."""
    return batch


@pytest.fixture
def judge() -> Callable[..., list[str | None]]:
    """The reasons that a filter, given its class and configuration, gives for texts."""

    def reasons(plugin: type, *texts: str, language: str = "en", **config: object) -> list[str | None]:
        judged = plugin(plugin.Config(**config)).judge(batch(*texts, language=language))
        assert judged.height == len(texts)
        return judged["reason"].to_list()

    return reasons


def batch(*texts: str, language: str = "en") -> pl.DataFrame:
    return pl.DataFrame({"text": texts}, schema={"text": pl.String}).select(
        number=pl.int_range(len(texts), dtype=pl.UInt64),
        id=pl.int_range(len(texts)).cast(pl.String),
        source=pl.lit("file.txt"),
        language=pl.lit(language),
        text="text",
    )
