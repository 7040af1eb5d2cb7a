"""Web pages: their text without what surrounds it.

What is text and what is furniture is told by how long a block is and how much of it is links, the features
that Kohlschütter et al. 2010 ("Boilerplate detection using shallow text features") found to decide nearly
everything; the rules on them are our own.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict, field_validator

from prolepsis.text.corpus.decoding import decode
from prolepsis.text.corpus.files import BadFileError, CorpusFile
from prolepsis.text.corpus.readers.base import CorpusReader, Document, batches, whole

MAX_DEPTH = 20_000

# The parser's time grows with the square of a page's depth: 0.4 s for 20,000 elements, 22 s for 100,000.
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_NEVER_DEEP = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"]
)
_NEVER_DEEP |= {"dd", "dt", "li", "option", "p", "td", "th", "tr"}  # closed by the next one
_INVISIBLE = ["noscript", "script", "style", "svg", "template"]
_FURNITURE = frozenset(["aside", "button", "dialog", "footer", "iframe", "nav", "select", "textarea"])
_NAMES = ["breadcrumb", "breadcrumbs", "comments", "cookie", "footer", "menu", "navbar", "navigation"]
_NAMES += ["newsletter", "related", "share", "sidebar", "social"]
_ROLES = ["banner", "complementary", "contentinfo", "dialog", "menu", "navigation", "search"]
_NAMED_FURNITURE = ", ".join(
    ["form", "[hidden]", "[aria-hidden=true]"]
    + [f"[role={role}]" for role in _ROLES]
    + [f".{name}, #{name}" for name in _NAMES]
)
_MAX_NAMED = 1000
_HEADINGS = frozenset(["h1", "h2", "h3", "h4", "h5", "h6"])
_BLOCKS = _HEADINGS.union(
    ["address", "article", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl", "dt"],
    ["fieldset", "figcaption", "figure", "form", "header", "hr", "li", "main", "ol", "p", "pre", "section"],
    ["summary", "table", "td", "th", "tr", "ul"],
)
_SPACE = re.compile(r"[ \t\r\f]+")  # a no-break space is not among them
_SENTENCE_END = re.compile(r"[.!?…。！？؟।][\"'”’»)\]」』]*$")
_CHARSET = re.compile(
    rb"<meta[^>]{1,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})|<\?xml[^>]{1,100}?encoding\s*=\s*[\"']([\w.:-]{1,40})",
    re.IGNORECASE,
)


class HtmlReaderConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    selector: str | None = None
    """A CSS selector (`article`); each element that it matches is a document, and a page without one is a bad
    file. Without a selector the page is a document:
    what is left of it without navigation, forms, lists of links and other furniture."""

    @field_validator("selector")
    @classmethod
    def _check_selector(cls, selector: str | None) -> str | None:
        if selector is not None:
            from selectolax.lexbor import LexborHTMLParser, SelectolaxError

            try:
                LexborHTMLParser("<p>").css(selector)
            except SelectolaxError as error:
                raise ValueError(f"this is no CSS selector: {error}") from error
        return selector


class HtmlReader(CorpusReader):
    """A web page as text, a line for each block.

    The key of a selected element is its `id` attribute, or its number where it has none.
    """

    Config = HtmlReaderConfig
    suffixes = (".html", ".htm", ".xhtml")

    def __init__(self, config: HtmlReaderConfig) -> None:
        self._selector = config.selector

    def read(self, file: CorpusFile, max_document_bytes: int) -> Iterator[pl.DataFrame]:
        with file.open() as stream:
            content = whole(stream, max_document_bytes)
        source = decode(content, file.decoding, file.report, declared_encoding(content))
        if self._selector is None:
            yield from batches([("", main_text(source))])
        else:
            yield from batches(self._selected(source, self._selector))

    def _selected(self, source: str, selector: str) -> Iterator[Document]:
        found = _parsed(source).css(selector)
        if not found:
            raise BadFileError(f"Nothing in the page matches the selector {selector!r}.")
        for number, element in enumerate(found, start=1):
            text = "\n".join(block.text for block in _blocks(element, frozenset()))
            yield element.attributes.get("id") or str(number), text


def declared_encoding(content: bytes) -> str | None:
    """The encoding that a page claims near its beginning, where browsers look too."""
    claim = _CHARSET.search(content, 0, 1024)
    return (claim[1] or claim[2]).decode("ascii", "ignore") if claim else None


def main_text(source: str) -> str | None:
    """The text of a page that is meant to be read; None for a page without any text.

    A block is text if it is long and has few links, furniture if it has many. A short one goes with its
    neighbours. The search is confined to the page's `main` or only `article` if there is text in it.

    Raises:
        BadFileError: the page is nested deeper than `MAX_DEPTH`.
    """
    page = _parsed(source)
    body = page.body
    if body is None:
        return None
    furniture = _named_furniture(page)
    for root in [*_main_elements(page), body]:
        blocks = _blocks(root, furniture)
        kept = _kept(blocks)
        if kept:
            return "\n".join(block.text for block in kept)
    return None


class _Kind(Enum):
    TEXT = 1
    SHORT = 2
    LINKS = 3


@dataclass(frozen=True, slots=True)
class _Block:
    """A stretch of text between block elements; `linked` is how many of its characters are in links."""

    text: str
    linked: int
    heading: bool

    @property
    def kind(self) -> _Kind:
        if self.linked * 3 > len(self.text) and not self.heading:
            return _Kind.LINKS
        # In UTF-8 an ideograph has three bytes, and says about as much as three letters.
        return _Kind.TEXT if len(self.text.encode()) >= 100 and not self.heading else _Kind.SHORT


def _kept(blocks: list[_Block]) -> list[_Block]:
    kinds = [block.kind for block in blocks]
    if _Kind.TEXT not in kinds:
        return [block for block, kind in zip(blocks, kinds, strict=True) if kind is not _Kind.LINKS]
    before = _last_not_short(kinds)
    after = _last_not_short(kinds[::-1])[::-1]
    return [
        block
        for block, kind, previous, following in zip(blocks, kinds, before, after, strict=True)
        if kind is _Kind.TEXT
        or (kind is _Kind.SHORT and _belongs(block, previous is _Kind.TEXT, following is _Kind.TEXT))
    ]


def _belongs(block: _Block, after_text: bool, before_text: bool) -> bool:
    """Whether a short block is part of the text: inside it, a heading of it, or a sentence at its edge."""
    if block.heading:
        return before_text
    return (after_text and before_text) or (
        (after_text or before_text) and _SENTENCE_END.search(block.text) is not None
    )


def _last_not_short(kinds: list[_Kind]) -> list[_Kind]:
    """For each block the kind of the nearest one before it that is not short; links before the first."""
    found = []
    last = _Kind.LINKS
    for kind in kinds:
        found.append(last)
        last = last if kind is _Kind.SHORT else kind
    return found


def _parsed(source: str) -> Any:
    from selectolax.lexbor import LexborHTMLParser

    _refuse_depth(source)
    page = LexborHTMLParser(source)
    page.strip_tags(_INVISIBLE, recursive=True)
    return page


def _refuse_depth(source: str) -> None:
    """An upper bound for how deep elements are nested: all that were opened and not closed by name."""
    if source.count("<") <= MAX_DEPTH:
        return
    opened: Counter[str] = Counter()
    depth = 0
    for closing, name in _TAG.findall(source):
        tag = name.lower()
        if tag in _NEVER_DEEP:
            continue
        if not closing:
            opened[tag] += 1
            depth += 1
            if depth > MAX_DEPTH:
                raise BadFileError(f"Its elements are nested deeper than {MAX_DEPTH}.")
        elif opened[tag]:
            opened[tag] -= 1
            depth -= 1


def _named_furniture(page: Any) -> frozenset[int]:
    """What calls itself furniture, unless it holds most of the page, as forms and odd layouts do."""
    total = len(page.body.text())
    found = page.css(_NAMED_FURNITURE)[:_MAX_NAMED]
    return frozenset(element.mem_id for element in found if len(element.text()) * 2 < total)


def _main_elements(page: Any) -> list[Any]:
    candidates = (page.css("main, [role=main]"), page.css("article"))
    return [elements[0] for elements in candidates if len(elements) == 1]


class _Leave(Enum):
    BLOCK = 1
    LINK = 2
    PREFORMATTED = 3
    ARTICLE = 4


def _blocks(root: Any, furniture: frozenset[int]) -> list[_Block]:
    """The text below an element, divided where block elements begin and end."""
    walk = _Walk(furniture)
    # The stack holds nodes still to enter and what follows their content; pages nest deeper than Python.
    stack: list[Any] = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, _Leave):
            walk.leave(node)
        elif node.is_text_node:
            walk.text(node.text_content)
        else:
            entered = walk.enter(node)
            if entered is not None:
                stack.extend(entered)
                stack.extend(reversed(list(node.iter(include_text=True))))
    walk.end_block()
    return walk.blocks


class _Walk:
    """Collects blocks on the way through a page."""

    def __init__(self, furniture: frozenset[int]) -> None:
        self.blocks: list[_Block] = []
        self._furniture = furniture
        self._parts: list[str] = []
        self._linked = 0
        self._heading = False
        self._links = self._preformatted = self._articles = 0

    def text(self, text: str) -> None:
        if self._links:
            self._linked += len(text.strip())
        self._parts.append(text if self._preformatted else text.replace("\n", " "))

    def enter(self, element: Any) -> list[_Leave] | None:
        """What is to be left after the element's content; None if it is not to be entered."""
        tag = element.tag
        if tag in _FURNITURE or (self._furniture and element.mem_id in self._furniture):
            return None
        leave = []
        if tag == "a":
            self._links += 1
            leave.append(_Leave.LINK)
        elif tag == "br":
            self._parts.append("\n")
        elif tag in _BLOCKS:
            if tag == "header" and not self._articles:
                return None
            self.end_block()
            if tag in _HEADINGS:
                self._heading = True
            elif tag == "pre":
                self._preformatted += 1
                leave.append(_Leave.PREFORMATTED)
            elif tag in ("article", "main"):
                self._articles += 1
                leave.append(_Leave.ARTICLE)
            leave.append(_Leave.BLOCK)  # the first to be left
        return leave

    def leave(self, what: _Leave) -> None:
        match what:
            case _Leave.BLOCK:
                self.end_block()
            case _Leave.LINK:
                self._links -= 1
            case _Leave.PREFORMATTED:
                self._preformatted -= 1
            case _Leave.ARTICLE:
                self._articles -= 1

    def end_block(self) -> None:
        if self._parts:
            content = "".join(self._parts)
            if self._preformatted:
                text = content.strip("\n").rstrip()
            else:
                lines = (line.strip() for line in _SPACE.sub(" ", content).split("\n"))
                text = "\n".join(line for line in lines if line)
            if text:
                self.blocks.append(_Block(text, self._linked, self._heading))
            self._parts = []
        self._linked = 0
        self._heading = False
