"""Sections to one HTML page that holds all it shows."""

from collections.abc import Sequence
from importlib.resources import files
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from prolepsis.report.blocks import Section


def render_page(
    title: str,
    lead: str,
    sections: Sequence[Section],
    *,
    command: str = "kedro run --pipelines report",
    origin: str = "from the files of this run",
) -> str:
    """The page as HTML: its own styles, pictures as data, no script, and a policy that forbids any request.

    Neighbouring sections of the same chapter share its heading. The foot says which command made the page,
    and from what.
    """
    environment = Environment(
        loader=PackageLoader("prolepsis.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = files("prolepsis.report").joinpath("templates", "style.css").read_text(encoding="utf-8")
    chapters = groupby(sections, key=lambda section: section.chapter)
    return environment.get_template("page.html.j2").render(
        title=title,
        lead=lead,
        command=command,
        origin=origin,
        chapters=[(chapter, list(members)) for chapter, members in chapters],
        highlights=[tile for section in sections for tile in section.highlights],
        style=Markup(style),  # noqa: S704 - a file of this package
    )
