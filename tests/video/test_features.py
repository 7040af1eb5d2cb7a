"""The feature store gives back what was put in, and says so when a file is not what was written."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prolepsis.errors import ProlepsisError
from prolepsis.video.features import FeatureStore, FeatureStream, SourceVideo, write_feature_store


def stream(
    features: dict[str, np.ndarray],
    blocks: Any = None,
    dimension: int = 3,
    rate: float = 6.25,
    sources: Mapping[str, str] = {},
    dtype: str = "float16",
    precision: str = "float32",
) -> FeatureStream:
    def encode(due: Sequence[str]) -> Any:
        return [(video, features[video]) for video in due] if blocks is None else blocks

    return FeatureStream(
        encoder="made_up",
        config={"depth": 2},
        weights_sha256="0" * 64,
        precision=precision,
        rate=rate,
        dimension=dimension,
        videos=[SourceVideo(video, len(rows), sources.get(video, "")) for video, rows in features.items()],
        encode=encode,
        dtype=dtype,
    )


def make(seed: int = 0, lengths: tuple[int, ...] = (4, 1, 7)) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {f"clip_{i}": random.normal(size=(length, 3)) for i, length in enumerate(lengths)}


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    rows=st.integers(1, 12),
    cut=st.integers(1, 9),
)
@settings(max_examples=40, deadline=None)
def test_every_video_comes_back_as_half_precision_however_it_was_cut(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], rows: int, cut: int
) -> None:
    directory = tmp_path_factory.mktemp("store")
    features = make(lengths=tuple(lengths))
    blocks = [(v, f[start : start + cut]) for v, f in features.items() for start in range(0, len(f), cut)]
    write_feature_store(directory, stream(features, blocks), shard_bytes=rows * 3 * 2)
    store = FeatureStore.open(directory)
    assert store.videos == list(features) == list(store)
    for video, expected in features.items():
        np.testing.assert_array_equal(store[video], expected.astype(np.float16))


def test_a_full_shard_is_followed_by_another_and_no_video_is_cut(tmp_path: Path) -> None:
    write_feature_store(tmp_path, stream(make(lengths=(4, 1, 7, 2))), shard_bytes=6 * 3 * 2)
    index = pl.read_parquet(tmp_path / "index.parquet")
    assert index.select("video", "shard", "offset", "num_steps").rows() == [
        ("clip_0", 0, 0, 4),
        ("clip_1", 0, 4, 1),
        ("clip_2", 1, 0, 7),
        ("clip_3", 2, 0, 2),
    ]
    assert np.load(tmp_path / "shard-00001.npy").shape == (7, 3)


def test_features_are_read_only_views_of_the_mapped_file(tmp_path: Path) -> None:
    write_feature_store(tmp_path, stream(make()))
    store = FeatureStore.open(tmp_path)
    assert isinstance(store["clip_2"], np.memmap)
    assert np.shares_memory(store["clip_2"], store["clip_2"])
    with pytest.raises(ValueError, match="read-only"):
        store["clip_2"][0, 0] = 1


def test_what_made_the_features_is_kept(tmp_path: Path) -> None:
    write_feature_store(tmp_path, stream(make()))
    store = FeatureStore.open(tmp_path)
    assert (store.encoder, store.config, store.rate, store.dimension) == ("made_up", {"depth": 2}, 6.25, 3)


def test_the_hash_is_the_same_for_the_same_features_and_differs_for_others(tmp_path: Path) -> None:
    hashes = []
    for i, seed in enumerate((0, 0, 1)):
        (tmp_path / str(i)).mkdir()
        write_feature_store(tmp_path / str(i), stream(make(seed)))
        hashes.append(FeatureStore.open(tmp_path / str(i)).hash)
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_truncated_shard_is_refused(tmp_path: Path) -> None:
    write_feature_store(tmp_path, stream(make()))
    shard = tmp_path / "shard-00000.npy"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(ProlepsisError, match="bytes instead of"):
        FeatureStore.open(tmp_path)


def test_a_missing_shard_is_refused(tmp_path: Path) -> None:
    write_feature_store(tmp_path, stream(make()))
    (tmp_path / "shard-00000.npy").unlink()
    with pytest.raises(ProlepsisError, match="0 bytes instead of"):
        FeatureStore.open(tmp_path)


def test_a_flipped_bit_is_found_by_verify(tmp_path: Path) -> None:
    write_feature_store(tmp_path, stream(make()))
    shard = tmp_path / "shard-00000.npy"
    FeatureStore.open(tmp_path).verify()
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ProlepsisError, match="not what was written"):
        FeatureStore.open(tmp_path).verify()


def test_a_folder_without_a_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProlepsisError, match="no feature store"):
        FeatureStore.open(tmp_path)


def test_a_store_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text('{"format": 99}')
    with pytest.raises(ProlepsisError, match="format 99"):
        FeatureStore.open(tmp_path)


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "not numbers"), (np.inf, "not numbers"), (1e6, "half precision")]
)
def test_values_that_the_store_cannot_hold_are_refused(tmp_path: Path, value: float, message: str) -> None:
    features = make()
    features["clip_1"][0, 1] = value
    with pytest.raises(ProlepsisError, match=message) as error:
        write_feature_store(tmp_path, stream(features))
    assert error.value.where == "clip_1, from step 0 on"


def test_single_precision_holds_large_values(tmp_path: Path) -> None:
    features = make()
    features["clip_1"][0, 1] = 1e6
    write_feature_store(tmp_path, stream(features, dtype="float32"))
    store = FeatureStore.open(tmp_path)
    assert store["clip_1"].dtype == "float32"
    np.testing.assert_array_equal(store["clip_1"], features["clip_1"].astype(np.float32))


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([("a", np.zeros((2, 3))), ("b", np.zeros((3, 3)))], "of 3 steps came instead of 2"),
        ([("a", np.zeros((1, 3))), ("b", np.zeros((2, 3)))], "'a' were due, but 'b' came"),
        ([("b", np.zeros((2, 3))), ("a", np.zeros((2, 3)))], "'a' were due, but 'b' came"),
        ([("a", np.zeros((2, 3)))], "'b' were due, but None came"),
        ([("a", np.zeros((2, 4)))], "their dimension is 3"),
        ([(v, np.zeros((2, 3))) for v in "abc"], "'c' came that were not announced"),
    ],
)
def test_a_stream_that_breaks_its_announcement_is_refused(
    tmp_path: Path, blocks: list[tuple[str, np.ndarray]], message: str
) -> None:
    announced = {"a": np.zeros((2, 3)), "b": np.zeros((2, 3))}
    with pytest.raises(ProlepsisError, match=message):
        write_feature_store(tmp_path, stream(announced, blocks))


def test_the_profile_has_a_row_per_video(tmp_path: Path) -> None:
    features = make()
    features["clip_1"][:] = 0
    write_feature_store(tmp_path, stream(features))
    profile = FeatureStore.open(tmp_path).profile()
    assert profile["video"].to_list() == list(features)
    assert profile["num_steps"].to_list() == [4, 1, 7]
    assert profile["zeros"].to_list() == [0, 1, 0]
    assert profile["finite"].all()
    half = features["clip_2"].astype(np.float16).astype(np.float32)
    assert profile["mean"][2] == pytest.approx(half.mean(), abs=1e-6)


# Taken up again


def cut_off(features: dict[str, np.ndarray], after: int) -> Iterator[tuple[str, np.ndarray]]:
    """The first videos, half of the next one, and an error."""
    for number, (video, rows) in enumerate(features.items()):
        if number == after:
            yield video, rows[: len(rows) // 2]
            raise OSError("the disk went away")
        yield video, rows


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def write(directory: Path, what: FeatureStream) -> None:
    write_feature_store(directory, what, shard_bytes=6 * 3 * 2)


@pytest.mark.parametrize("after", range(5))
def test_a_store_that_was_cut_off_goes_on_with_the_first_unfinished_video(tmp_path: Path, after: int) -> None:
    features = make(lengths=(4, 2, 7, 2, 3))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    write(whole, stream(features))
    with pytest.raises(OSError, match="went away"):
        write(broken, stream(features, cut_off(features, after)))
    if after == 0:
        assert contents(broken) == {}
    rest = dict(list(features.items())[after:])
    write(broken, stream(features, rest.items()))
    assert contents(broken) == contents(whole)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"precision": "bfloat16"}, "precision 'float32' instead of 'bfloat16'"),
        ({"rate": 4.0}, "rate 6.25 instead of 4.0"),
        ({"dtype": "float32"}, "dtype 'float16' instead of 'float32'"),
    ],
)
def test_features_of_another_configuration_are_never_mixed_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any], said: str
) -> None:
    features = make()
    with pytest.raises(OSError, match="went away"):
        write(tmp_path, stream(features, cut_off(features, 2)))
    other = make(seed=1)
    with caplog.at_level(logging.WARNING):
        write(tmp_path, stream(other, **change))
    assert said in caplog.text
    assert "discarded" in caplog.text
    store = FeatureStore.open(tmp_path)
    found = store["clip_0"]
    np.testing.assert_array_equal(found, other["clip_0"].astype(found.dtype))


def test_a_video_that_changed_is_encoded_again_with_all_after_it(tmp_path: Path) -> None:
    features = make()
    with pytest.raises(OSError, match="went away"):
        write(tmp_path, stream(features, cut_off(features, 2), sources={"clip_1": "old"}))
    new = make(seed=1)
    write(tmp_path, stream(new, list(new.items())[1:], sources={"clip_1": "new"}))
    store = FeatureStore.open(tmp_path)
    for video, expected in (features | {name: new[name] for name in ("clip_1", "clip_2")}).items():
        np.testing.assert_array_equal(store[video], expected.astype(np.float16))


def test_finished_features_that_were_damaged_are_made_again(tmp_path: Path) -> None:
    features = make()
    with pytest.raises(OSError, match="went away"):
        write(tmp_path, stream(features, cut_off(features, 2)))
    shard = tmp_path / "shard-00000.npy"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1  # of clip_1
    shard.write_bytes(content)
    write(tmp_path, stream(features, list(features.items())[1:]))
    FeatureStore.open(tmp_path).verify()
    np.testing.assert_array_equal(
        FeatureStore.open(tmp_path)["clip_1"], features["clip_1"].astype(np.float16)
    )
