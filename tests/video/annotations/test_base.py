import importlib.metadata

import pytest

from prolepsis.plugins import load

GROUP = "prolepsis.annotation_readers"


@pytest.mark.parametrize("name", [point.name for point in importlib.metadata.entry_points(group=GROUP)])
def test_every_reader_is_found_as_a_plugin_with_a_configuration(name: str) -> None:
    reader = load(GROUP, name)
    assert reader.Config.model_config["extra"] == "forbid"
    assert callable(reader.read)
