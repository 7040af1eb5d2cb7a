"""One way of writing the same text: composed, line ends alike, nothing misread, nothing invisible."""

from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict

_LINE_ENDS = r"\r\n|[\r\x0B\x0C\x{85}\x{2028}\x{2029}]"
_INVISIBLE = (
    r"[[\p{Cc}&&[^\t\n]]"  # control characters
    r"\x{AD}\x{200B}\x{2060}-\x{2064}\x{FEFF}"  # soft hyphen, zero-width space and joiners, byte-order mark
    r"\x{202A}-\x{202E}\x{2066}-\x{2069}]"  # direction embeddings, overrides and isolates
)
# What composition may change: marks and the parts of Hangul syllables, which follow what they belong to, and
# characters that Unicode replaces wherever they stand.
_MAY_COMPOSE = (
    r"[\p{M}\x{1100}-\x{11FF}\x{374}\x{37E}\x{387}\x{958}-\x{95F}\x{9DC}-\x{9DF}\x{A33}-\x{A5E}\x{B5C}\x{B5D}"
    r"\x{F43}-\x{FB9}\x{1F71}-\x{1FFD}\x{2000}\x{2001}\x{2126}\x{212A}\x{212B}\x{2329}\x{232A}\x{2ADC}"
    r"\x{F900}-\x{FAFF}\x{FB1D}-\x{FB4E}\x{1D15E}-\x{1D1C0}\x{2F800}-\x{2FA1F}]"
)
# The blocks that BERT's tokenizer sets apart: CJK ideographs, neither kana nor hangul.
_IDEOGRAPH = (
    r"[\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}\x{F900}-\x{FAFF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2CEAF}"
    r"\x{2F800}-\x{2FA1F}]"
)

_PUNCTUATION = set("\xa0«»‘’“”„–—…")


def _misread(codec: str, without: set[str]) -> str:
    """A pattern of UTF-8 that was read as an encoding with one byte to a character.

    A first byte tells how many bytes follow it. The characters of the following ones that make sense after a
    letter, too, can be left out: hardly a misread text has no others.
    """

    def characters(first: int, last: int, without: set[str]) -> str:
        decoded = bytes(range(first, last + 1)).decode(codec, "ignore")
        return (
            "["
            + "".join(f"\\x{{{ord(character):X}}}" for character in decoded if character not in without)
            + "]"
        )

    second = characters(0x80, 0xBF, without)
    one_of_several = characters(0x80, 0xBF, without | {"\xa0"})  # French has "é »" with such a space
    return "|".join(
        [
            characters(0xC2, 0xDF, set()) + second,
            characters(0xE0, 0xEF, set()) + one_of_several * 2,
            characters(0xF0, 0xF4, set()) + one_of_several * 3,
        ]
    )


_MOJIBAKE = "|".join(
    [
        _misread("latin-1", set()),
        _misread("cp1252", set()),
        *(_misread(codec, _PUNCTUATION) for codec in ("cp1250", "iso8859-2", "cp1251", "cp437")),
        "√[©†®°±≤≥∂∑∏π∫ªº§•¶ß∞]|‚Ä[ôúùìîÓ¶¢]",  # Mac OS Roman has quotation marks among its first bytes
    ]
)
_MAX_ROUNDS = 8


class NormalisationConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    form: Literal["NFC", "NFKC"] = "NFC"
    """Unicode's composition; NFKC also makes one of what only looks different (`ﬁ` is `fi`, `Ａ` is `A`)."""
    repair_mojibake: bool = True
    """Text whose UTF-8 was once read as another encoding is put right (`Ã©` is `é`), by ftfy."""
    space_cjk: bool = False
    """A space on both sides of every Chinese character, as BERT's tokenizer has it; words in kana and hangul
    stay whole, and which of its forms, traditional or simplified, a character has stays as it is."""


DEFAULT_NORMALISATION = NormalisationConfig()


def normalised(texts: pl.Series, config: NormalisationConfig = DEFAULT_NORMALISATION) -> pl.Series:
    """Normalises texts; doing it twice changes nothing more.

    Every kind of line end becomes a line feed; control, zero-width and direction-override characters go; the
    rest is composed to Unicode's form; spaces at line ends go, and of several blank lines one stays. The
    zero-width joiner and non-joiner stay, since Persian, Indic scripts and emoji are misspelt without them.

    Args:
        texts: strings; nulls stay.
        config: what to do.
    """
    if not config.repair_mojibake:
        return _clean(texts, config)
    # The repair comes first, since control characters are part of mojibake; cleaning may show more of it.
    clean = _clean(_repaired(texts), config)
    for _ in range(_MAX_ROUNDS):
        repaired = _repaired(clean)
        if repaired.equals(clean):
            break
        clean = _clean(repaired, config)
    return clean


def _clean(texts: pl.Series, config: NormalisationConfig) -> pl.Series:
    """All but the repair."""
    text = pl.col("text")
    visible = text.str.replace_all(_LINE_ENDS, "\n").str.replace_all(_INVISIBLE, "")
    if config.space_cjk:
        # Of several spaces beside an ideograph one stays, so that spacing twice is spacing once.
        text = (
            text.str.replace_all(f"({_IDEOGRAPH})", " ${1} ")
            .str.replace_all(f"({_IDEOGRAPH}) {{2,}}", "${1} ")
            .str.replace_all(f" {{2,}}({_IDEOGRAPH})", " ${1}")
            .str.replace_all(f"\n ({_IDEOGRAPH})", "\n${1}")
        )
    tidy = text.str.replace_all(r"[^\S\n]+\n", "\n").str.replace_all(r"\n{3,}", "\n\n").str.strip_chars()
    composed = _composed(pl.DataFrame({"text": texts}).select(visible).to_series(), config.form)
    return pl.DataFrame({"text": composed}).select(tidy).to_series().alias(texts.name)


def _composed(texts: pl.Series, form: Literal["NFC", "NFKC"]) -> pl.Series:
    if form == "NFKC":
        return texts.str.normalize(form)
    # To compose takes six times as long as to see that nearly all texts have nothing to compose.
    affected = texts.str.contains(_MAY_COMPOSE).arg_true()
    return texts.clone().scatter(affected, texts.gather(affected).str.normalize(form))


def _repaired(texts: pl.Series) -> pl.Series:
    """The texts with the lines of those that hold what looks like misread UTF-8 given to ftfy."""
    suspicious = texts.str.contains(_MOJIBAKE).arg_true()
    if suspicious.is_empty():
        return texts
    from ftfy import fix_encoding

    found = ["\n".join(map(fix_encoding, text.split("\n"))) for text in texts.gather(suspicious)]
    return texts.clone().scatter(suspicious, found)
