"""The page holds everything, asks nothing of a network, and lets no text of a user become markup."""

import re
from html.parser import HTMLParser

import pytest

from prolepsis.report.blocks import Bar, BarChart, Cell, Details, LineChart, Section, Table, Text
from prolepsis.report.page import render_page

VOID = {"meta", "img", "br", "link", "input"}


class Outline(HTMLParser):
    """Checks that tags are balanced, and collects what a reader would see and follow."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.identifiers: set[str] = set()
        self.links: list[str] = []
        self.sources: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "srcset", "action", "data")]
        if tag == "a":
            self.links.append(values["href"] or "")
        if "id" in values:
            self.identifiers.add(values["id"] or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


@pytest.fixture(scope="module")
def html(sections: list[Section]) -> str:
    return render_page("A <run>", "Words & frames.", sections)


@pytest.fixture(scope="module")
def outline(html: str) -> Outline:
    return Outline(html)


def one_block(block: object) -> str:
    return render_page("t", "l", [Section("Chapter", "one", "One", "lead", [block])])  # type: ignore[list-item]  # any block


def test_every_section_has_its_place_and_its_link(outline: Outline, sections: list[Section]) -> None:
    identifiers = [section.identifier for section in sections]
    assert len(set(identifiers)) == len(identifiers)
    assert set(identifiers) <= outline.identifiers
    assert {f"#{identifier}" for identifier in identifiers} == set(outline.links)


def test_the_page_asks_nothing_of_a_network(html: str, outline: Outline) -> None:
    assert all(source.startswith("data:") for source in outline.sources)
    assert all(link.startswith("#") for link in outline.links)
    assert not {"script", "link", "iframe", "object", "form"} & set(outline.tags)
    written = re.sub(r"base64,[A-Za-z0-9+/=]+", "", html)
    assert re.findall(r"//[a-z]|url\(|@import", written) == []
    assert "default-src 'none'" in html


def test_text_of_the_corpus_is_shown_as_text(outline: Outline) -> None:
    assert "<script>alert(1)</script>" in "".join(outline.text)


def test_the_title_is_escaped(html: str) -> None:
    assert "<title>A &lt;run&gt;</title>" in html


def test_neighbouring_sections_share_their_chapters_heading(html: str) -> None:
    assert re.findall(r"<h2>(.*?)</h2>", html) == ["Words", "Frames", "Contracts"]


def test_the_highlights_of_all_sections_are_the_summary(html: str, sections: list[Section]) -> None:
    summary = html[: html.index("<nav>")]
    for section in sections:
        for tile in section.highlights:
            assert f"<b>{tile.value}</b>" in summary


def test_the_page_knows_light_and_dark_and_narrow_screens(html: str) -> None:
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html
    assert "max-width: 34rem" in html


def test_blocks_may_be_folded_into_blocks() -> None:
    html = one_block(Details("more", [Details("still more", [Text("deep")])]))
    assert html.count("<details>") == 2
    assert "<p>deep</p>" in html


def test_numbers_are_aligned_and_shares_drawn() -> None:
    table = Table(("name", "value"), [(Cell("a"), Cell("7", share=0.25, strong=True))], frozenset({"value"}))
    html = one_block(table)
    assert '<th class="n">value</th>' in html
    assert re.search(r'<td class="n b" style="--share:25.0%"><strong>7</strong>', html)


def test_a_bar_shows_what_is_left_and_what_was_lost() -> None:
    html = one_block(BarChart([Bar("step", 0.5, "10", lost=0.25)]))
    assert 'class="fill" style="width:50.00%"' in html
    assert 'class="lost" style="width:25.00%"' in html


def test_a_chart_without_points_says_so() -> None:
    assert "There is nothing to draw." in one_block(LineChart([], [], [], "x", "y"))
