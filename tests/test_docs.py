"""What the documentation points to is there."""

import re
from pathlib import Path
from typing import Any

import pytest

from support import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_of_the_repository(page: Path):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def blocks_of(page: str) -> list[str]:
    """The Python blocks of a page that define something."""
    found = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    return [block for block in found if re.search(r"^class ", block, re.MULTILINE)]


@pytest.mark.parametrize("page", ["plugins.md", "filters.md"])
def test_the_plugins_that_the_documentation_shows_can_be_defined(page: str):
    blocks = blocks_of(page)
    assert blocks
    for block in blocks:
        exec(block, {"__name__": "shown"})


def test_the_tokenizer_that_the_documentation_shows_can_be_trained():
    [block] = [block for block in blocks_of("plugins.md") if "class BytesTrainer" in block]
    names: dict[str, Any] = {"__name__": "shown"}
    exec(block, names)
    trainer = names["BytesTrainer"]
    tokenizer = trainer(trainer.Config(special_tokens={"pad": "<pad>"})).train([["héllo"]])
    [ids] = tokenizer.encode_batch(["é o"])
    assert tokenizer.decode_batch([ids]) == ["é o"]
