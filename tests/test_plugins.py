from typing import ClassVar

import pytest
from pydantic import ValidationError

from prolepsis import plugins
from prolepsis.errors import ProlepsisError


class DetectorChoice(plugins.PluginChoice):
    group: ClassVar[str] = "prolepsis.action_detectors"


@pytest.mark.parametrize("group", plugins.GROUPS)
def test_every_installed_plugin_loads_and_carries_a_config_and_a_docstring(group: str):
    assert plugins.names(group)
    for name in plugins.names(group):
        plugin = plugins.load(group, name)
        assert plugin.Config.model_config.get("extra") == "forbid", name
        assert plugin.__doc__, name


@pytest.mark.parametrize("group", plugins.GROUPS)
def test_every_key_of_every_plugin_has_a_meaning(group: str):
    for name in plugins.names(group):
        fields = plugins.load(group, name).Config.model_fields
        assert [key for key, field in fields.items() if not field.description] == [], name


def test_an_unknown_name_is_answered_with_the_nearest_and_all_known_ones():
    with pytest.raises(ProlepsisError, match="no plugin 'oatdr'") as caught:
        plugins.load("prolepsis.action_detectors", "oatdr")
    assert "Did you mean 'oadtr'?" in str(caught.value)
    assert "frame_only" in str(caught.value)


def test_an_unknown_group_is_answered_with_the_nearest_one():
    with pytest.raises(ProlepsisError, match="Did you mean 'prolepsis.tokenizers'"):
        plugins.load("prolepsis.tokenizer", "wordpiece")


def test_a_choice_checks_its_plugins_configuration_at_once():
    choice = DetectorChoice(plugin="trn", config={"hidden_size": 8})
    assert choice.configuration().hidden_size == 8
    with pytest.raises(ProlepsisError, match="hidden_size"):
        DetectorChoice(plugin="trn", config={"hidden_size": "wide"})
    with pytest.raises(ProlepsisError, match="hiden_size"):
        DetectorChoice(plugin="trn", config={"hiden_size": 8})


def test_a_choice_knows_no_keys_but_its_two():
    with pytest.raises(ValidationError, match="configuration"):
        DetectorChoice.model_validate({"plugin": "trn", "configuration": {}})
