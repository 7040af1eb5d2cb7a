"""Masks what identifies a person: addresses of e-mail, of machines, and telephone numbers."""

import ipaddress
import re
from collections.abc import Callable

import polars as pl
from pydantic import BaseModel, ConfigDict

from prolepsis.text.corpus.filtering import DocumentFilter

_EMAIL = (
    r"[A-Za-z0-9][A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]*@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,24}"
)
_IPV4 = re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w]|\.[0-9])")
_IPV6 = re.compile(
    r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9A-Fa-f]{1,4}|[0-9]{1,3}(?:\.[0-9]{1,3}){3})?(?![\w:]|\.[0-9])"
)
_PHONE = re.compile(
    r"(?<![\w+.-])(?:"
    # +49 30 901820, +1 (212) 555-0100: a country and 6 to 14 further digits
    r"\+[0-9]{1,3}[ .-]?(?:\([0-9]{1,4}\)[ .-]?)?[0-9]{1,4}(?:[ .-]?[0-9]{2,4}){1,4}"
    # (212) 555-0100, 212-555-0100 and 212.555.0100
    r"|\([0-9]{3}\) ?[0-9]{3}[.-][0-9]{4}|[0-9]{3}-[0-9]{3}-[0-9]{4}|[0-9]{3}\.[0-9]{3}\.[0-9]{4}"
    r")(?![\w]|[.-][0-9])"
)
_NAMES_A_VERSION = re.compile(r"(?:\bv|\bver\.?|\bversions?|\breleases?|\bsections?|§)\s*$", re.IGNORECASE)

# What a text must hold for one of the expressions above to match; found some hundred times faster.
_MAY_HOLD = {
    _IPV4: r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
    _IPV6: r":[0-9A-Fa-f]{0,4}:",
    _PHONE: r"\+[0-9]|[0-9]{3}[.-][0-9]{3}[.-][0-9]{4}|\([0-9]{3}\) ?[0-9]{3}",
}
_FEWEST_PHONE_DIGITS, _MOST_PHONE_DIGITS = 8, 15  # E.164
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


class PiiConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    emails: bool = True
    """Whether addresses of e-mail are masked."""
    ipv4: bool = True
    """Whether IPv4 addresses are masked."""
    ipv6: bool = True
    """Whether IPv6 addresses are masked."""
    phones: bool = True
    """Whether telephone numbers are masked: with a country code, or written as in North America."""
    public_addresses_only: bool = True
    """Leaves addresses of private networks, of documentation and the like, which lead to nobody."""
    email_replacement: str = "email@example.com"
    """Put in place of an address of e-mail."""
    ipv4_replacement: str = "22.214.171.124"
    """Put in place of an IPv4 address."""
    ipv6_replacement: str = "2001:db8::1"
    """Put in place of an IPv6 address."""
    phone_replacement: str = "555-0100"
    """Put in place of a telephone number."""


class PiiFilter(DocumentFilter):
    """Masks e-mail addresses, public IP addresses and telephone numbers; drops nothing.

    E-mail and IPv4 as datatrove's `PIIFormatter`, which knows neither IPv6 nor telephone numbers; more
    careful with what only looks like an address: parts of longer numbers, and what stands behind "version"
    or "section".
    """

    Config = PiiConfig

    def __init__(self, config: PiiConfig) -> None:
        self._config = config

    def judge(self, documents: pl.DataFrame) -> pl.DataFrame:
        config = self._config
        texts = documents["text"]
        if config.emails:
            texts = texts.str.replace_all(_EMAIL, config.email_replacement.replace("$", "$$"))
        for wanted, pattern, is_one, replacement in [
            (config.ipv6, _IPV6, self._is_ipv6, config.ipv6_replacement),
            (config.ipv4, _IPV4, self._is_ipv4, config.ipv4_replacement),
            (config.phones, _PHONE, _is_phone, config.phone_replacement),
        ]:
            if wanted:
                texts = _replace(texts, pattern, is_one, replacement)
        return documents.with_columns(
            text=texts, reason=pl.lit(None, dtype=pl.String), score=pl.lit(None, dtype=pl.Float64)
        )

    def _is_ipv4(self, match: re.Match[str]) -> bool:
        if _NAMES_A_VERSION.search(match.string, max(0, match.start() - 12), match.start()):
            return False
        try:
            address = ipaddress.IPv4Address(match.group())
        except ipaddress.AddressValueError:
            return False
        return address.is_global or not self._config.public_addresses_only

    def _is_ipv6(self, match: re.Match[str]) -> bool:
        try:
            address = ipaddress.IPv6Address(match.group())
        except ipaddress.AddressValueError:
            return False
        if self._config.public_addresses_only:
            return address.is_global and address in _GLOBAL_UNICAST
        # What stands on either side of two colons in a program may be letters up to f.
        return any(character.isdigit() for character in match.group())


def _is_phone(match: re.Match[str]) -> bool:
    num_digits = sum(character.isdigit() for character in match.group())
    return _FEWEST_PHONE_DIGITS <= num_digits <= _MOST_PHONE_DIGITS


def _replace(
    texts: pl.Series, pattern: re.Pattern[str], is_one: Callable[[re.Match[str]], bool], replacement: str
) -> pl.Series:
    rows = texts.str.contains(_MAY_HOLD[pattern]).arg_true()
    if len(rows) == 0:
        return texts
    changed = [
        pattern.sub(lambda match: replacement if is_one(match) else match.group(), text)
        for text in texts.gather(rows)
    ]
    return texts.scatter(rows, changed)
