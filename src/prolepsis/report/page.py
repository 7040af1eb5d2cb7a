"""Chapters to one HTML page that holds all it shows."""

from collections.abc import Sequence
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from prolepsis.report.blocks import Chapter


def render_page(title: str, lead: str, chapters: Sequence[Chapter]) -> str:
    """The page as HTML: its own styles, pictures as data, no script, and a policy that forbids any request.

    Chapters without sections are left out.
    """
    environment = Environment(
        loader=PackageLoader("prolepsis.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = files("prolepsis.report").joinpath("templates", "style.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        title=title,
        lead=lead,
        chapters=[chapter for chapter in chapters if chapter.sections],
        style=Markup(style),  # noqa: S704 - a file of this package
    )
