"""One way of writing the same text: Unicode composed, line ends alike, nothing invisible without meaning."""

import polars as pl

_LINE_ENDS = r"\r\n|[\r\x0B\x0C\x{85}\x{2028}\x{2029}]"
_INVISIBLE = (
    r"[[\p{Cc}&&[^\t\n]]"  # control characters
    r"\x{AD}\x{200B}\x{2060}-\x{2064}\x{FEFF}"  # soft hyphen, zero-width space and joiners, byte-order mark
    r"\x{202A}-\x{202E}\x{2066}-\x{2069}]"  # direction embeddings, overrides and isolates
)


def normalised(text: pl.Expr) -> pl.Expr:
    """Normalises a column of texts; doing it twice changes nothing more.

    Every kind of line end becomes a line feed; control, zero-width and direction-override characters go; the
    rest is composed to Unicode's form C; spaces at line ends go, and of several blank lines one stays. The
    zero-width joiner and non-joiner stay, since Persian, Indic scripts and emoji are misspelt without them.
    """
    return (
        text.str.replace_all(_LINE_ENDS, "\n")
        .str.replace_all(_INVISIBLE, "")
        .str.normalize("NFC")
        .str.replace_all(r"[^\S\n]+\n", "\n")
        .str.replace_all(r"\n{3,}", "\n\n")
        .str.strip_chars()
    )
