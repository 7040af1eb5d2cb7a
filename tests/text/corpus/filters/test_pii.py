import time
from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prolepsis.text.corpus.filters.pii import PiiConfig, PiiFilter

Documents = Callable[..., pl.DataFrame]


def mask(text: str, documents: Documents, **config: object) -> str:
    judged = PiiFilter(PiiConfig(**config)).judge(documents(text))
    assert judged["reason"].to_list() == judged["score"].to_list() == [None]
    masked: str = judged["text"][0]
    return masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to jo.doe+news@mail.example.org.", "Write to email@example.com."),
        ("<a@b.de>, (c_d@e-f.co.uk)", "<email@example.com>, (email@example.com)"),
        ("联系foo@bar.com。", "联系email@example.com。"),
        ("from 8.8.8.8:53, 1.1.1.1.", "from 22.214.171.124:53, 22.214.171.124."),
        ("at 2606:4700:4700::1111, [2001:4860:4860:0:0:0:0:8888]:443", "at 2001:db8::1, [2001:db8::1]:443"),
        ("over 2606:4700::8.8.4.4 too", "over 2001:db8::1 too"),
        ("call +49 30 901820, +1 (212) 555-7890 or +442079460000.", "call 555-0100, 555-0100 or 555-0100."),
        ("(212) 555-7890, 212-555-7890, 212.555.7890", "555-0100, 555-0100, 555-0100"),
    ],
)
def test_addresses_and_numbers_are_masked(text: str, masked: str, documents: Documents) -> None:
    assert mask(text, documents) == masked


@pytest.mark.parametrize(
    "text",
    [
        "an @handle, a@b and 5@3.5",
        "version 1.2.3.4, v8.8.8.8, Release 9.9.9.9 and section 1.2.3.4, § 5.6.7.8",
        "1.2.3.4.5, 256.1.1.1, 08.08.08.08, 1.2.3, 3.14.15.9265, x8.8.8.8",
        "192.168.0.1, 10.0.0.1, 127.0.0.1, 203.0.113.9",
        "at 12:30:45, std::vector, a::b, ::1, fe80::1, 2001:db8::7, 1:2:3, Genesis 1:1:1",
        "ISBN 978-3-16-148410-0, 0-306-40615-2; 2026-11-24, 24.11.2026; 1914-1918; 3.14159265358979",
        "1,234,567,890 or 1.234.567.890 or 123-45-6789; +1.5, +12 345; page 212-555",
        "4212-555-78901; x+4420794600",
        "order 12345678901234567890; 555-7890; 1-212-555-7890-3",
    ],
)
def test_what_only_looks_like_it_stays(text: str, documents: Documents) -> None:
    assert mask(text, documents) == text


def test_each_kind_can_be_left_alone(documents: Documents) -> None:
    text = "a@b.org 8.8.8.8 2606:4700::1111 212-555-7890"
    kinds = {"emails": "a@b.org", "ipv4": "8.8.8.8", "ipv6": "2606:4700::1111", "phones": "212-555-7890"}

    for kind, kept in kinds.items():
        assert [part for part in mask(text, documents, **{kind: False}).split() if part in text] == [kept]


def test_replacements_are_taken_as_they_are_written(documents: Documents) -> None:
    config = {
        "email_replacement": "$1 <\\0>",
        "ipv4_replacement": "\\g<0>",
        "ipv6_replacement": "",
        "phone_replacement": "☎",
    }

    assert mask("a@b.org|8.8.8.8|2606:4700::1111|212-555-7890", documents, **config) == "$1 <\\0>|\\g<0>||☎"


def test_private_addresses_are_masked_on_request(documents: Documents) -> None:
    text = "192.168.0.1 and fe80::1 but no std::dead, a::b or 300.1.1.1"

    assert mask(text, documents, public_addresses_only=False) == (
        "22.214.171.124 and 2001:db8::1 but no std::dead, a::b or 300.1.1.1"
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from("a1.@:+-() 25f,"), max_size=60))
def test_a_masked_text_is_not_masked_further(text: str, documents: Documents) -> None:
    once = mask(text, documents)

    assert mask(once, documents) == once


@pytest.mark.parametrize("unit", ["1", "1.", "1:", "+1 ", "a@a.", "(212) ", "::"])
def test_long_rows_of_figures_take_no_long_time(unit: str, documents: Documents) -> None:
    start = time.process_time()

    mask(unit * 50_000, documents)

    assert time.process_time() - start < 2
