"""Pairs of text and hypothesis, in the XML of the challenges on textual entailment (RTE-1 to RTE-3)."""

from pathlib import Path
from xml.etree import ElementTree

from prolepsis.errors import ProlepsisError
from prolepsis.text.downstream.tasks import Example

_LABELS = {
    "TRUE": "entailment",
    "YES": "entailment",
    "ENTAILMENT": "entailment",
    "FALSE": "not_entailment",
    "NO": "not_entailment",
    "UNKNOWN": "not_entailment",
    "CONTRADICTION": "not_entailment",
}


def read_rte(path: Path) -> list[Example]:
    """An example for each pair, labelled `entailment` or `not_entailment`, as GLUE has it.

    Raises:
        ProlepsisError: the file is not such XML, or a pair lacks a text or has another judgement.
    """
    try:
        # Entities that a file may define are expanded by expat, which has limits against floods of them.
        pairs = ElementTree.parse(path).getroot().iter("pair")  # noqa: S314
    except ElementTree.ParseError as error:
        raise ProlepsisError(f"This is not XML: {error}", where=path, remedy="mend the file") from error
    return [_example(pair, f"{path}, pair {pair.get('id')}") for pair in pairs]


def _example(pair: ElementTree.Element, source: str) -> Example:
    judgement = pair.get("entailment") or pair.get("value") or ""
    texts = [(pair.findtext(part) or "").strip() for part in ("t", "h")]
    if judgement.upper() not in _LABELS or not all(texts):
        raise ProlepsisError(
            f"The pair is judged {judgement!r}, or has no text or hypothesis.",
            where=source,
            remedy=f"a pair has <t>, <h> and an attribute 'entailment' that is one of {', '.join(_LABELS)}",
        )
    return Example(source, (_LABELS[judgement.upper()],), text=texts[0], second_text=texts[1])
