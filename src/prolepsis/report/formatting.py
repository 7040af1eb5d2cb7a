"""Numbers and names as a person reads them."""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from prolepsis.report.blocks import Cell, Picture, Table

_MAXIMUM_TEXT = 240


def number(value: float | None, digits: int = 3) -> str:
    """Whole numbers with separators, others with `digits` significant digits or more, never with an exponent.

    >>> number(1234567), number(0.123456), number(1234.5), number(None)
    ('1,234,567', '0.123', '1,234', '–')
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    size = math.floor(math.log10(abs(value)))
    return f"{value:,.{min(8, max(0, digits - 1 - size))}f}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share as a percentage.

    >>> percent(0.1234), percent(None)
    ('12.3 %', '–')
    """
    return "–" if share is None or not math.isfinite(share) else f"{100 * share:.{digits}f} %"


def signed_points(difference: float | None) -> str:
    """A difference of two shares in percentage points.

    >>> signed_points(0.0512), signed_points(-0.01)
    ('+5.1', '−1.0')
    """
    if difference is None or not math.isfinite(difference):
        return "–"
    return f"{100 * difference:+.1f}".replace("-", "−")


def size(num_bytes: float) -> str:
    """Bytes in the unit that fits.

    >>> size(512), size(2_500_000)
    ('512 B', '2.4 MiB')
    """
    if num_bytes < 1024:
        return f"{int(num_bytes)} B"
    exponent = min(4, int(math.log(num_bytes, 1024)))
    return f"{num_bytes / 1024**exponent:.1f} {'KMGT'[exponent - 1]}iB"


def duration(seconds: float) -> str:
    """Seconds in the unit that fits.

    >>> duration(12.34), duration(754), duration(7500)
    ('12.3 s', '12.6 min', '2.1 h')
    """
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def words(name: str) -> str:
    """A key as words.

    >>> words("byte_bpe.mean_average_precision")
    'byte bpe · mean average precision'
    """
    return name.replace(".", " · ").replace("_", " ").strip()


def shorten(text: str, limit: int = _MAXIMUM_TEXT) -> str:
    """The beginning of a text, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def value(anything: Any) -> str:
    """Any scalar or short list as text."""
    if anything is None:
        return "–"
    if isinstance(anything, bool):
        return "yes" if anything else "no"
    if isinstance(anything, int | float):
        return number(anything)
    if isinstance(anything, list | tuple):
        return shorten(", ".join(value(item) for item in anything))
    return shorten(str(anything))


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with keys joined by dots.

    >>> flatten({"val": {"loss": 1.5}, "steps": 3})
    {'val.loss': 1.5, 'steps': 3}
    """
    flat: dict[str, Any] = {}
    for key, item in nested.items():
        if isinstance(item, Mapping):
            flat |= flatten(item, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = item
    return flat


def figures(metrics: Mapping[str, Any], caption: str = "") -> Table:
    """All of a metrics file, a row per figure."""
    rows = [(Cell(words(key)), Cell(value(item))) for key, item in flatten(metrics).items()]
    return Table(("figure", "value"), rows, frozenset({"value"}), caption)


def comparison(metrics: Mapping[str, Mapping[str, Any]], first: str, caption: str = "") -> Table:
    """The metrics of several variants side by side: a row per figure, a column per variant."""
    flat = {name: flatten(values) for name, values in metrics.items()}
    keys = list(dict.fromkeys(key for values in flat.values() for key in values))
    rows = [
        (Cell(words(key)), *(Cell(value(values[key]) if key in values else "") for values in flat.values()))
        for key in keys
    ]
    names = [words(name) for name in flat]
    return Table((first, *names), rows, frozenset(names), caption)


def table(frame: pl.DataFrame, caption: str = "", columns: Sequence[str] | None = None) -> Table:
    """A frame as it is, its numbers aligned."""
    frame = frame.select(columns) if columns else frame
    numeric = frozenset(words(name) for name, dtype in frame.schema.items() if dtype.is_numeric())
    rows = [tuple(Cell(value(item)) for item in row) for row in frame.iter_rows()]
    return Table([words(name) for name in frame.columns], rows, numeric, caption)


def picture(png: bytes, description: str, caption: str = "") -> Picture:
    """A PNG inside the page."""
    return Picture(data_uri(png, "image/png"), description, caption)


def data_uri(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def best(values: Iterable[float | None]) -> float | None:
    """The largest of the values that exist."""
    return max((item for item in values if item is not None), default=None)
