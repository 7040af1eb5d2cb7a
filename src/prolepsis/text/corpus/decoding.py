"""From the bytes of a text file, in whatever encoding, to UTF-8; nothing is replaced without being counted.

What is valid UTF-8 is UTF-8: texts in older encodings hardly ever look like it by accident. So the first
bytes that are not ASCII decide, wherever in the file they stand, since ASCII is the same in all encodings
concerned. Only where they are not UTF-8 does charset-normalizer look at a sample of them.
"""

import codecs
import io
import re
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from pydantic import BaseModel, ConfigDict, Field, field_validator

BLOCK_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 16
_LONG_WORD = 40
UTF8 = "utf-8"

_NOT_ASCII = re.compile(rb"[\x80-\xff]+")
# UTF-32 first: its little-endian mark begins with that of UTF-16.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Older encodings that are guessed. Many texts fit several of them equally well: then the first is taken.
_GUESSED = [
    "cp1252",
    "cp1251",
    "gb18030",
    "cp932",
    "euc_jp",
    "cp949",
    "big5",
    "cp1250",
    "cp1254",
    "cp1256",
    "cp1253",
]
_GUESSED += ["cp1255", "cp1257", "cp1258", "cp874", "koi8-r", "cp866", "iso8859-2"]
# The others of the WHATWG Encoding Standard, under Python's names.
_DECLARED = [
    "koi8-u",
    "mac-roman",
    "mac-cyrillic",
    *(f"iso8859-{part}" for part in (3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)),
]
_KNOWN = {UTF8, "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", *_GUESSED, *_DECLARED}
_PUNCTUATION = frozenset("\xa0«»‘’“”„‚–—…¿¡。、，！？「」")
# What browsers take these names for, as the same standard says.
_MEANT = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}


class BadFileError(Exception):
    """A file that cannot be read to its end; the message says why, and where in the file."""


class Decoding(BaseModel):
    """How the bytes of text files are understood."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    encoding: str = "detect"
    """`detect` takes UTF-8, with a byte-order mark UTF-16 and UTF-32, what a web page or archive says of
    itself, and else guesses among the older encodings; `utf-8`, `cp1252` and so on is what all files are."""
    max_replaced_share: float = Field(default=0.01, ge=0, le=1)
    """Undecodable bytes become U+FFFD and are counted; a file with a larger share of them is a bad one. With
    0 the first one is enough."""

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, encoding: str) -> str:
        if encoding != "detect" and _codec(encoding) is None:
            raise ValueError(f"there is no encoding {encoding!r}; there are {', '.join(sorted(_KNOWN))}")
        return encoding


DEFAULT_DECODING = Decoding()


@dataclass
class FileReport:
    """What became of the bytes of a file; complete when it has been read to its end.

    Attributes:
        encodings: Python's names of what was found; an archive of web pages may have several. ASCII counts
            as UTF-8.
        num_bytes: how many bytes (decompressed) were decoded.
        replaced_bytes: how many of them U+FFFD stands for; in encodings with several bytes to a character,
            other than UTF-8, how many U+FFFD.
        first_replaced: the place of the first of them.
    """

    encodings: set[str] = field(default_factory=set)
    num_bytes: int = 0
    replaced_bytes: int = 0
    first_replaced: int | None = None

    @property
    def encoding(self) -> str:
        """The encodings for people, "" for a file that is not text or has not been read."""
        return ", ".join(sorted(self.encodings))

    def clear(self) -> None:
        self.encodings = set()
        self.num_bytes = self.replaced_bytes = 0
        self.first_replaced = None

    def add(self, other: "FileReport") -> None:
        """Adds what became of a part of the file, which other parts were before."""
        self.encodings |= other.encodings
        if self.first_replaced is None and other.first_replaced is not None:
            self.first_replaced = self.num_bytes + other.first_replaced
        self.num_bytes += other.num_bytes
        self.replaced_bytes += other.replaced_bytes


class Utf8Stream(io.RawIOBase):
    """A stream of text as UTF-8 without a byte-order mark, whatever encoding it is stored in.

    Holds a few megabytes at most. Reading raises `BadFileError` at a NUL, which only binary files have, at
    an encoding that cannot be told, and, at the end, at too many undecodable bytes.

    Args:
        source: the bytes as they are stored.
        decoding: how they are to be understood.
        report: is told what is found.
        declared: the name of an encoding that a page, or who sent it, gives. It counts where the policy is
            to detect and the bytes are not UTF-8; an unknown name does not count.
    """

    def __init__(
        self, source: BinaryIO, decoding: Decoding, report: FileReport, declared: str | None = None
    ) -> None:
        super().__init__()
        self._source = source
        self._policy = decoding
        self._report = report
        self._declared = declared
        self._decoder: codecs.IncrementalDecoder | None = None
        self._begun = self._ended = False
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._ready and not self._ended:
            self._ready = memoryview(self._next())
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _next(self) -> bytes:
        """The next bytes as UTF-8; there may be none before the end."""
        block = self._source.read(BLOCK_BYTES)
        self._ended = not block
        if not self._begun:
            self._begun = True
            block = self._without_mark(block)
        if self._decoder is None and not block.isascii():
            block += self._source.read(SAMPLE_BYTES)  # what is not ASCII may be the last byte of the block
            self._use(self._found(block))
        decoded = block if self._decoder is None else self._decoded(self._decoder, block)
        self._refuse_nul(block, decoded)
        self._report.num_bytes += len(block)
        if self._ended:
            self._finish()
        return decoded

    def _refuse_nul(self, block: bytes, decoded: bytes) -> None:
        if 0 not in decoded:
            return
        if self._decoder is not None and self._codec.startswith(("utf-16", "utf-32")):
            raise BadFileError(f"It is a binary file: NUL in what would be {_label(self._codec)}.")
        place = self._report.num_bytes + block.find(0)
        raise BadFileError(f"It is a binary file, or UTF-16 without a byte-order mark: NUL at byte {place}.")

    def _without_mark(self, block: bytes) -> bytes:
        for mark, codec in _BYTE_ORDER_MARKS:
            if block.startswith(mark):
                self._use(codec)
                self._report.num_bytes += len(mark)
                return block[len(mark) :]
        if self._policy.encoding != "detect":
            self._use(_codec(self._policy.encoding) or UTF8)
        return block

    def _use(self, codec: str) -> None:
        self._decoder = codecs.getincrementaldecoder(codec)("strict")
        self._codec = codec

    def _found(self, block: bytes) -> str:
        """The encoding of a block that is not ASCII."""
        first = _NOT_ASCII.search(block)
        start = first.start() if first else 0
        sample = block[start : start + SAMPLE_BYTES]
        if _mostly_utf8(sample):
            return UTF8
        declared = _codec(self._declared) if self._declared is not None else None
        if declared is not None and declared != UTF8:
            return declared
        # From the beginning of the word: more ASCII before it would drown what tells encodings apart.
        word = max(block.rfind(space, 0, start) for space in (b" ", b"\n")) + 1
        guess = _guess(block[max(word, start - _LONG_WORD) : start] + sample)
        if guess is None:
            place = self._report.num_bytes + start
            raise BadFileError(
                f"It is not UTF-8 (0x{block[start]:02x} at byte {place}), and no other encoding fits."
            )
        return guess

    def _decoded(self, decoder: codecs.IncrementalDecoder, block: bytes) -> bytes:
        state = decoder.getstate()
        decoder.errors = "strict"
        try:
            return decoder.decode(block, self._ended).encode()
        except UnicodeDecodeError as error:
            self._note(error, self._report.num_bytes - len(state[0]))
        decoder.errors = "ignore"
        decoder.setstate(state)
        kept = len(decoder.decode(block, self._ended).encode(self._codec))
        self._report.replaced_bytes += len(state[0]) + len(block) - len(decoder.getstate()[0]) - kept
        decoder.errors = "replace"
        decoder.setstate(state)
        return decoder.decode(block, self._ended).encode()

    def _note(self, error: UnicodeDecodeError, offset: int) -> None:
        """Keeps the place of the first undecodable byte; `offset` is where the error's bytes begin."""
        if self._report.first_replaced is None:
            self._report.first_replaced = offset + error.start
        if self._policy.max_replaced_share == 0:
            raise BadFileError(
                f"It is not {_label(self._codec)}: {error.reason}, 0x{error.object[error.start]:02x} at byte "
                f"{self._report.first_replaced}."
            ) from error

    def _finish(self) -> None:
        report = self._report
        if report.num_bytes:
            report.encodings.add(self._codec if self._decoder is not None else UTF8)
        share = self._policy.max_replaced_share
        if report.replaced_bytes > share * report.num_bytes:
            raise BadFileError(
                f"It is not {_label(self._codec)}: {report.replaced_bytes} of {report.num_bytes} bytes "
                f"cannot be decoded, the first at byte {report.first_replaced}; at most {share:.2%} may be."
            )


def decode(data: bytes, decoding: Decoding, report: FileReport, declared: str | None = None) -> str:
    """What `Utf8Stream` makes of bytes that are in memory, with its arguments and errors."""
    return Utf8Stream(io.BytesIO(data), decoding, report, declared).readall().decode()


def _codec(name: str) -> str | None:
    """Python's name of an encoding that browsers know too, with what they take it for; None for others."""
    try:
        codec = codecs.lookup(name.strip().lower().replace("windows-", "cp").removeprefix("x-")).name
    except (LookupError, ValueError):  # a name with a NUL is a ValueError
        return None
    codec = _MEANT.get(codec, codec)
    return codec if codec in _KNOWN else None


def _label(codec: str) -> str:
    return codec.upper() if codec.startswith("utf") else codec


def _mostly_utf8(sample: bytes) -> bool:
    """Whether most of what is not ASCII is valid UTF-8: damaged UTF-8, not another encoding."""
    try:
        codecs.utf_8_decode(sample, "strict", False)  # the sample may end within a character
    except UnicodeDecodeError:
        valid = sample.decode(errors="ignore").encode()
        not_ascii = len(sample) - len(_NOT_ASCII.sub(b"", sample))
        return len(sample) - len(valid) < not_ascii / 2
    return True


def _guess(sample: bytes) -> str | None:
    """The encoding that makes the least mess of a sample.

    Of several about equal ones it is the one with the fewest kinds of odd signs, of those the most common.

    Turkish cannot always be told from Western Europe's languages in this way.
    """
    from charset_normalizer import from_bytes

    # The sample ends at a space rather than within a character.
    end = max(sample.rfind(b" "), sample.rfind(b"\n"))
    matches = list(from_bytes(sample[: end + 1] if end > 0 else sample, cp_isolation=_GUESSED))
    if not matches:
        return None
    mess = min(match.chaos for match in matches) + 0.07
    sense = max(match.coherence for match in matches if match.chaos <= mess) - 0.05
    fitting = {
        _codec(name)
        for match in matches
        if match.chaos <= mess and match.coherence >= sense
        for name in match.could_be_from_charset
    }
    fitting_in_order = [codec for codec in _GUESSED if codec in fitting]
    return min(fitting_in_order, key=lambda codec: _num_odd(sample.decode(codec, "ignore")), default=None)


def _num_odd(text: str) -> int:
    """How many signs beyond ASCII are neither letters nor punctuation: few, in running text."""
    return sum(not (sign.isascii() or sign.isalpha() or sign in _PUNCTUATION) for sign in set(text))
