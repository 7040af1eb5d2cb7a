"""What a page can show: text and numbers, which the templates turn into HTML and escape."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"

    text: str


@dataclass(frozen=True)
class Tile:
    """One figure in large type."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Tiles:
    """Figures side by side."""

    kind: ClassVar[str] = "tiles"

    tiles: Sequence[Tile]


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        share: length of the bar behind the text, from 0 to 1; None draws none.
        strong: the best of its kind.
    """

    text: str
    share: float | None = None
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """A table; the columns named in `numeric` are aligned to the right."""

    kind: ClassVar[str] = "table"

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numeric: frozenset[str] = frozenset()
    caption: str = ""


@dataclass(frozen=True)
class Bar:
    """A row of a bar chart; `share` is its length from 0 to 1, `lost` the part that is missing behind it."""

    label: str
    share: float
    text: str
    colour: int = 0
    lost: float = 0.0


@dataclass(frozen=True)
class BarChart:
    """Horizontal bars with their values in words."""

    kind: ClassVar[str] = "bar_chart"

    bars: Sequence[Bar]
    caption: str = ""


@dataclass(frozen=True)
class Tick:
    """A label on an axis, `at` percent from the axis' origin."""

    text: str
    at: float


@dataclass(frozen=True)
class Line:
    """A curve in a chart: an SVG path in a square of 1000 by 1000, y downward."""

    name: str
    path: str
    colour: int
    dashed: bool = False


@dataclass(frozen=True)
class LineChart:
    """Curves over a common axis."""

    kind: ClassVar[str] = "line_chart"

    lines: Sequence[Line]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    x_label: str
    y_label: str
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI."""

    kind: ClassVar[str] = "picture"

    uri: str
    description: str
    caption: str = ""


@dataclass(frozen=True)
class Span:
    """A labelled stretch of a timeline, in percent of its length, on the lane `lane`."""

    label: str
    hue: int
    start: float
    width: float
    lane: int
    title: str


@dataclass(frozen=True)
class Area:
    """A class' probability over time: an SVG path in a square of 1000 by 1000, y downward."""

    label: str
    hue: int
    path: str


@dataclass(frozen=True)
class Belief:
    """What one detector believed, one area per class."""

    name: str
    areas: Sequence[Area]


@dataclass(frozen=True)
class ClassMark:
    """An entry of a timeline's legend."""

    label: str
    hue: int


@dataclass(frozen=True)
class Timeline:
    """A video from left to right: pictures, the truth, and each detector's belief.

    Attributes:
        truth: what is marked; `truth_name` says what it is, where it is not the truth.
    """

    kind: ClassVar[str] = "timeline"

    title: str
    note: str
    thumbnails: Sequence[str]
    truth: Sequence[Span]
    lanes: int
    ignored: Sequence[Span]
    beliefs: Sequence[Belief]
    legend: Sequence[ClassMark]
    ticks: Sequence[Tick]
    truth_name: str = "truth"


@dataclass(frozen=True)
class Details:
    """Blocks that are folded away until asked for."""

    kind: ClassVar[str] = "details"

    summary: str
    blocks: Sequence["Block"]


@dataclass(frozen=True)
class Grid:
    """Blocks side by side where there is room."""

    kind: ClassVar[str] = "grid"

    blocks: Sequence["Block"]


Block = Text | Tiles | Table | BarChart | LineChart | Picture | Timeline | Details | Grid


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading of its own.

    Attributes:
        chapter: the heading that it shares with other sections.
        identifier: the anchor that the table of contents leads to.
        lead: one sentence on what is seen.
        highlights: its figures for the summary at the top of the page.
    """

    chapter: str
    identifier: str
    title: str
    lead: str
    blocks: Sequence[Block]
    highlights: Sequence[Tile] = ()
