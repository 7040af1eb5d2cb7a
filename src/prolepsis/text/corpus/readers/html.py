"""Web pages."""

import re
from collections.abc import Iterator
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict

from prolepsis.text.corpus.files import CorpusFile, decode
from prolepsis.text.corpus.readers.base import CorpusReader, Document, batches, whole

_HTML_DROPPED = ["aside", "footer", "form", "header", "nav", "noscript", "script", "style", "svg", "template"]
_HTML_BLOCKS = frozenset(
    (
        "address",
        "article",
        "blockquote",
        "body",
        "br",
        "caption",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "li",
        "main",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "td",
        "th",
        "tr",
        "ul",
    )
)
_HTML_SPACE = re.compile(r"[ \t\r\f]+")  # a no-break space is not among them


class HtmlReaderConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    selector: str | None = None
    """A CSS selector; each element that it matches is a document (`article`). Without it the page is one."""


class HtmlReader(CorpusReader):
    """A web page as text: a line for each block, without scripts, navigation, headers and footers.

    The key of a selected element is its `id` attribute, or its number where it has none.
    """

    Config = HtmlReaderConfig
    suffixes = (".html", ".htm", ".xhtml")

    def __init__(self, config: HtmlReaderConfig) -> None:
        self._selector = config.selector

    def read(self, file: CorpusFile, max_document_bytes: int) -> Iterator[pl.DataFrame]:
        from selectolax.lexbor import LexborHTMLParser

        with file.open() as stream:
            page = LexborHTMLParser(decode(whole(stream, max_document_bytes), 0))
        page.strip_tags(_HTML_DROPPED, recursive=True)
        yield from batches(self._documents(page))

    def _documents(self, page: Any) -> Iterator[Document]:
        if self._selector is None:
            yield "", _text(page.body) if page.body is not None else None
            return
        for number, element in enumerate(page.css(self._selector), start=1):
            yield element.attributes.get("id") or str(number), _text(element)


def page_text(source: str) -> str | None:
    """The text of a page."""
    from selectolax.lexbor import LexborHTMLParser

    page = LexborHTMLParser(source)
    page.strip_tags(_HTML_DROPPED, recursive=True)
    return _text(page.body) if page.body is not None else None


def _text(element: Any) -> str:
    """An element's text with a line for each block; line breaks in the source are spaces."""
    parts: list[str] = []
    # The stack holds nodes still to enter and the breaks that follow a block; pages nest deeper than
    # Python.
    stack: list[Any] = [element]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            parts.append(node)
        elif node.is_text_node:
            parts.append(node.text_content.replace("\n", " "))
        else:
            if node.tag in _HTML_BLOCKS:
                parts.append("\n")
                stack.append("\n")
            stack.extend(reversed(list(node.iter(include_text=True))))
    lines = (_HTML_SPACE.sub(" ", line).strip() for line in "".join(parts).split("\n"))
    return "\n".join(line for line in lines if line)
