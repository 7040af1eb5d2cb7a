import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from prolepsis.text.corpus import decoding
from prolepsis.text.corpus.decoding import BadFileError, Decoding, FileReport, Utf8Stream

# A sentence each with characters of its own, in the encodings in which such texts were kept.
SENTENCES = {
    "en": "The café on the corner was naïve about its résumé, and the façade was painted in the old style.",
    "fr": "Les élèves, très étonnés, regardent à côté de la fenêtre. C'était l'été, où l'on espère ça.",
    "es": "El zorro marrón salta mientras los niños miran. ¿Qué pasó después? Mañana será otro día, ¡ojalá!",
    "de": "Der braune Fuchs springt über den faulen Hund. Größe und Maß, schön und übel.",
    "pl": "Szybki brązowy lis przeskakuje nad leniwym psem. Później wszyscy poszli spać, bo było ciemno.",
    "ru": "Бурая лиса прыгает через ленивую собаку, пока дети смотрят из окна своего большого дома.",
    "el": "Η γρήγορη καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί ενώ τα παιδιά κοιτάζουν.",
    "ar": "الثعلب البني السريع يقفز فوق الكلب الكسول بينما ينظر الأطفال من النافذة إلى الشارع.",
    "zh": "敏捷的棕色狐狸跳过了懒狗,孩子们从房子的窗户里看着这一切。天气很好,大家都很高兴。",
    "ja": "すばやい茶色の狐がのろまな犬を飛び越え、子供たちは家の窓からそれを見ています。いい天気です。",
    "ko": "빠른 갈색 여우가 게으른 개를 뛰어넘고 아이들은 집의 창문에서 그것을 보고 있습니다.",
}
ENCODINGS = [
    *((language, "cp1252") for language in ("en", "fr", "es", "de")),
    *(("ru", codec) for codec in ("cp1251", "koi8-r", "cp866")),
    *(("ja", codec) for codec in ("cp932", "euc_jp")),
    *(("pl", codec) for codec in ("cp1250", "iso8859-2")),
    ("el", "cp1253"),
    ("ar", "cp1256"),
    ("zh", "gb18030"),
    ("ko", "cp949"),
]
DETECT = Decoding()
STRICT = Decoding(encoding="utf-8", max_replaced_share=0)


def decode(data: bytes, policy: Decoding = DETECT, declared: str | None = None) -> tuple[str, FileReport]:
    report = FileReport()
    return decoding.decode(data, policy, report, declared), report


@pytest.mark.parametrize("repetitions", [1, 40])
@pytest.mark.parametrize(("language", "codec"), ENCODINGS)
def test_the_encodings_of_old_texts_are_recognised(language: str, codec: str, repetitions: int) -> None:
    text = SENTENCES[language] * repetitions

    assert decode(text.encode(codec)) == (
        text,
        FileReport(encodings={codec}, num_bytes=len(text.encode(codec))),
    )


@pytest.mark.parametrize("language", SENTENCES)
def test_utf8_is_never_taken_for_anything_else(language: str) -> None:
    data = SENTENCES[language].encode()

    assert decode(data, declared="cp1252") == (data.decode(), FileReport({"utf-8"}, len(data)))


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_decides_and_is_no_part_of_the_text(codec: str) -> None:
    text, report = decode("größer 中 \U0001f600".encode(codec))

    assert text == "größer 中 \U0001f600"
    assert report.encoding == ("utf-8" if codec == "utf-8-sig" else f"{codec}-le")


def test_a_second_byte_order_mark_is_a_character() -> None:
    assert decode("\ufeff\ufeffx".encode())[0] == "\ufeffx"


def test_one_accent_at_the_end_of_megabytes_of_ascii_still_decides_the_encoding() -> None:
    ascii_text = b"a long English text without accents. " * 60_000

    text, report = decode(ascii_text + "A café.".encode("cp1252"))

    assert text.endswith("A café.")
    assert report.encoding == "cp1252"


@pytest.mark.parametrize("before", [decoding.BLOCK_BYTES - 1, decoding.BLOCK_BYTES])
def test_where_blocks_end_makes_no_difference(before: int) -> None:
    for text, codec in (("ü" * 10, "utf-8"), (SENTENCES["ja"], "cp932"), (SENTENCES["fr"], "cp1252")):
        assert decode(b" " * before + text.encode(codec))[0] == " " * before + text


def test_a_web_pages_word_counts_where_its_bytes_are_not_utf8() -> None:
    data = SENTENCES["ru"].encode("koi8-r")

    assert decode(data, declared="KOI8-R")[0] == SENTENCES["ru"]
    assert decode("naïve".encode("cp1252"), declared="ISO-8859-1") == ("naïve", FileReport({"cp1252"}, 5))
    assert decode("“x”".encode("cp1252"), declared="x-windows-1252")[0] == "“x”"
    assert decode("字".encode("gb18030"), declared="gb2312")[0] == "字"


@pytest.mark.parametrize("name", ["no-such-thing", "rot13", "zip", "undefined", "unicode_escape", "", "a\0b"])
def test_a_name_that_is_no_encoding_of_texts_does_not_count(name: str) -> None:
    assert decode(SENTENCES["de"].encode("cp1252"), declared=name)[0] == SENTENCES["de"]


def test_what_the_user_says_counts_more_than_what_is_found() -> None:
    data = "ä".encode()

    assert decode(data, Decoding(encoding="latin-1"), declared="utf-8") == ("Ã¤", FileReport({"cp1252"}, 2))


def test_an_encoding_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ValidationError, match=r"there is no encoding 'utf8000'; there are .*cp1252"):
        Decoding(encoding="utf8000")


# --- damaged text


def test_replaced_bytes_are_counted_and_their_place_is_kept() -> None:
    good = "Größe und Maß. ".encode() * 100

    text, report = decode(good + b"a\xffb\xe4\xb8 c" + good)

    assert text == good.decode() + "a\ufffdb\ufffd c" + good.decode()
    assert report.replaced_bytes == 3
    assert report.first_replaced == len(good) + 1
    assert report.num_bytes == 2 * len(good) + 7


def test_a_replacement_character_of_the_author_is_not_counted() -> None:
    _, report = decode("so \ufffd war es. ".encode() * 20 + b"\xff")

    assert report.replaced_bytes == 1


def test_too_many_replaced_bytes_make_a_bad_file() -> None:
    data = "größer ".encode() * 100 + b"\xff" * 20

    with pytest.raises(
        BadFileError,
        match=r"not UTF-8: 20 of 920 bytes cannot be decoded, the first at byte 900; at most 1\.00% may be",
    ):
        decode(data)
    assert decode(data, Decoding(max_replaced_share=0.05))[1].replaced_bytes == 20


def test_an_encoding_with_holes_counts_them_too() -> None:
    data = SENTENCES["fr"].encode("cp1252") * 10 + b"\x81"

    _, report = decode(data, Decoding(encoding="cp1252"))

    assert (report.replaced_bytes, report.first_replaced) == (1, len(data) - 1)


def test_strictly_the_first_undecodable_byte_is_one_too_many() -> None:
    with pytest.raises(BadFileError, match=r"It is not UTF-8: invalid start byte, 0xff at byte 2002"):
        decode("é".encode() * 1001 + b"\xff" + b"good " * 1000, STRICT)


def test_a_text_that_ends_within_a_character_is_noticed() -> None:
    with pytest.raises(BadFileError, match=r"unexpected end of data, 0xc3 at byte 3"):
        decode(b"abc\xc3", STRICT)
    assert decode("für ".encode() * 100 + b"\xc3")[1].replaced_bytes == 1


def test_bytes_that_fit_no_encoding_are_no_text() -> None:
    with pytest.raises(
        BadFileError, match=r"It is not UTF-8 \(0x80 at byte 127\), and no other encoding fits"
    ):
        decode(bytes(range(1, 256)) * 10)


@pytest.mark.parametrize("policy", [DETECT, STRICT, Decoding(encoding="cp1252")])
def test_a_nul_byte_marks_a_binary_file(policy: Decoding) -> None:
    with pytest.raises(
        BadFileError, match=r"binary file, or UTF-16 without a byte-order mark: NUL at byte 1048580"
    ):
        decode(b" " * (decoding.BLOCK_BYTES + 4) + b"\x00", policy)


def test_a_nul_in_what_would_be_utf16_marks_a_binary_file_too() -> None:
    with pytest.raises(BadFileError, match="binary file: NUL in what would be UTF-16-LE"):
        decode("a\0b".encode("utf-16"))


def test_parts_of_a_file_add_up() -> None:
    report = FileReport({"utf-8"}, num_bytes=10)
    report.add(FileReport({"cp1252"}, num_bytes=5, replaced_bytes=2, first_replaced=3))

    assert report == FileReport({"utf-8", "cp1252"}, num_bytes=15, replaced_bytes=2, first_replaced=13)
    assert report.encoding == "cp1252, utf-8"


@given(st.text(), st.sampled_from(["utf-8", "utf-16", "utf-32"]))
def test_unicode_comes_back_as_it_was(text: str, codec: str) -> None:
    text = text.replace("\0", "").removeprefix("\ufeff")

    assert decode(text.encode(codec) if codec != "utf-8" else text.encode())[0] == text


@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_a_bad_file(data: bytes) -> None:
    report = FileReport()
    try:
        text = decoding.decode(data, Decoding(max_replaced_share=1), report)
    except BadFileError:
        return
    assert "\0" not in text
    assert report.num_bytes == len(data)
    assert (report.replaced_bytes == 0) == (report.first_replaced is None)


@given(st.lists(st.binary(max_size=5), max_size=8), st.integers(1, 7))
def test_the_size_of_blocks_changes_nothing(parts: list[bytes], size: int) -> None:
    data = "é".encode().join(parts).replace(b"\0", b"")
    whole, report = decode(data, Decoding(encoding="utf-8", max_replaced_share=1))

    in_pieces = FileReport()
    stream = Utf8Stream(
        _Dribble(io.BytesIO(data), size), Decoding(encoding="utf-8", max_replaced_share=1), in_pieces
    )

    assert stream.readall() == whole.encode()
    assert in_pieces == report


class _Dribble(io.BytesIO):
    """Gives a few bytes at a time, as sockets and decompressors may."""

    def __init__(self, source: io.BytesIO, size: int) -> None:
        super().__init__(source.getvalue())
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._size)
