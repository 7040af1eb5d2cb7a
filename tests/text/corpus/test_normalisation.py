import unicodedata
from pathlib import Path

import ftfy
import polars as pl
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.text.corpus.normalisation import _MOJIBAKE, NormalisationConfig, _repaired, normalised

# Plenty of the characters that the function is about, among all others.
TEXTS = st.text(
    st.one_of(
        st.sampled_from(
            "\r\n\t \x0b\x0c\x85\u2028\u2029\u00a0\x00\x1b\u200b\ufeff\u202e\u0301\u0327eaA\u1100\u1161"
        ),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=60,
)


def normalise(text: str, **config: object) -> str:
    clean: str = normalised(pl.Series([text]), NormalisationConfig.model_validate(config)).item()
    return clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\r\nb\rc\u2028d\u0085e\x0bf", "a\nb\nc\nd\ne\nf"),
        ("zero\u200bwidth\ufeff \u2060here", "zerowidth here"),
        ("bell\x07 escape\x1b[0m", "bell escape[0m"),
        ("over\u202eride", "override"),
        ("soft\u00adhyphen", "softhyphen"),
        ("cafe\u0301", "café"),
        ("\u1112\u1161\u11ab", "한"),
        ("line  \t\nnext", "line\nnext"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("  \n padded \n ", "padded"),
        ("tab\there", "tab\there"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("no\u00a0break", "no\u00a0break"),
    ],
)
def test_the_same_text_is_written_in_one_way(text: str, clean: str) -> None:
    assert normalise(text) == clean


CONFIGS = st.builds(
    NormalisationConfig,
    form=st.sampled_from(["NFC", "NFKC"]),
    repair_mojibake=st.booleans(),
    space_cjk=st.booleans(),
)
MISREAD = st.text(st.sampled_from("éÃ©â€™“\u200b\x9d\x85 ж中a\n"), max_size=12).map(
    lambda text: text.encode().decode("latin-1")
)


@given(
    st.one_of(TEXTS, MISREAD, st.text(st.sampled_from("Ãâ€™©\u200b\xa0中 \n\u0301ÐÑ°"), max_size=12)), CONFIGS
)
def test_normalising_twice_changes_nothing_more(text: str, config: NormalisationConfig) -> None:
    once = normalised(pl.Series([text]), config)

    assert normalised(once, config).to_list() == once.to_list()


@given(TEXTS)
def test_what_comes_out_is_composed_and_holds_no_control_character(text: str) -> None:
    clean = normalise(text)

    assert unicodedata.is_normalized("NFC", clean)
    assert unicodedata.is_normalized("NFKC", normalise(text, form="NFKC"))
    assert not any(unicodedata.category(c) == "Cc" for c in clean if c not in "\t\n")


@given(st.text(st.sampled_from("abc é中\n"), max_size=40))
def test_no_letter_is_lost(text: str) -> None:
    assert normalise(text).replace("\n", "").replace(" ", "") == text.replace("\n", "").replace(" ", "")


def test_nulls_stay_and_the_name_too() -> None:
    texts = normalised(pl.Series("body", [None, "a\r\n", "Ã©"]))

    assert texts.name == "body"
    assert texts.to_list() == [None, "a", "é"]


def test_composition_leaves_out_no_character_that_it_would_change() -> None:
    every = pl.Series([chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000])
    kept = every.filter(~every.str.contains(r"[\s\p{C}]"))
    after_a_letter, alone = "a" + kept + "a", kept

    for texts in (after_a_letter, alone):
        assert normalised(texts, NormalisationConfig(repair_mojibake=False)).equals(
            texts.str.normalize("NFC").str.strip_chars()
        )


@pytest.mark.parametrize("text", ["ﬁne", "Ａ１", "½", "①", "ﾊﾝｶｸ", "x²"])
def test_nfkc_makes_one_of_what_only_looks_different(text: str) -> None:
    assert normalise(text) == text
    assert normalise(text, form="NFKC") == unicodedata.normalize("NFKC", text) != text


# --- mojibake

SENTENCES = {
    "en": "“It’s a café,” she said — naïve as ever…",
    "fr": "Les élèves, très étonnés, regardent la fenêtre : « déjà l’été » !",
    "es": "¿Qué pasó después? «Mañana» será otro día, ¡ojalá! —éxito—",
    "de": "Größe und Maß, schön und übel: „Spaß“ in der Straße Nº 5, »Üb«.",
    "pl": "Szybki brązowy lis przeskakuje nad leniwym psem, a później śpi.",
    "ru": "Бурая лиса прыгает, пока дети смотрят из окна: «СССР», ВВП — США…",
    "el": "Η γρήγορη καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί.",
    "ar": "الثعلب البني السريع يقفز فوق الكلب الكسول.",
    "zh": "敏捷的棕色狐狸跳过了懒狗，孩子们从房子的窗户里看着这一切。",
    "ja": "すばやい茶色の狐がのろまな犬を飛び越え、「窓」からそれを見ています。",
    "ko": "빠른 갈색 여우가 게으른 개를 뛰어넘고 아이들은 그것을 보고 있습니다.",
}
CODECS = ["latin-1", "cp1252", "cp1250", "cp1251", "iso8859-2", "cp437", "mac-roman"]


def misread(text: str, codec: str) -> str:
    """UTF-8 as programs show it that take it for something else; bytes that are no character there stay."""
    return "".join(bytes([byte]).decode(codec, "ignore") or chr(byte) for byte in text.encode())


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("language", SENTENCES)
def test_whatever_ftfy_can_put_right_is_put_right(language: str, codec: str) -> None:
    sentence = SENTENCES[language]
    broken = misread(sentence, codec)

    expected = ftfy.fix_encoding(broken)

    assert _repaired(pl.Series([broken])).to_list() == [expected]
    if codec in ("latin-1", "cp1252"):
        assert expected == sentence


@pytest.mark.parametrize("language", SENTENCES)
def test_text_that_was_read_well_is_left_alone(language: str) -> None:
    assert normalise(SENTENCES[language]) == SENTENCES[language]


def test_only_the_broken_line_of_a_document_is_repaired() -> None:
    text = "Das ist schÃ¶n.\nÜber „Maß“ und 中文.\nGut."

    assert normalise(text) == "Das ist schön.\nÜber „Maß“ und 中文.\nGut."


def test_text_misread_twice_is_put_right() -> None:
    assert normalise(misread(misread("schön", "latin-1"), "latin-1")) == "schön"


def test_what_hides_mojibake_does_not_keep_it_from_being_repaired() -> None:
    assert normalise("Ã\u200b©tÃ\u200b©") == "été"


def test_repair_can_be_switched_off() -> None:
    assert normalise("Ã©", repair_mojibake=False) == "Ã©"


@pytest.mark.parametrize("language", ["en", "fr", "es"])
def test_hardly_any_text_that_was_read_well_is_given_to_ftfy(language: str, shared_data: Path) -> None:
    texts = pl.read_parquet(shared_data / f"text/wikipedia_vital_{language}.parquet")["text"]

    assert texts.str.contains(_MOJIBAKE).sum() < 0.01 * len(texts)


# --- spaces round ideographs


@pytest.mark.parametrize(
    ("text", "spaced"),
    [
        ("我爱you", "我 爱 you"),
        ("a中b", "a 中 b"),
        ("我  爱\n你", "我 爱\n你"),
        ("漢字かな交じり", "漢 字 かな 交 じり"),
        ("한국어 ok", "한국어 ok"),
        ("體体", "體 体"),
        ("two  spaces", "two  spaces"),
    ],
)
def test_ideographs_stand_alone_on_request(text: str, spaced: str) -> None:
    assert normalise(text, space_cjk=True) == spaced
    assert normalise(text) == text


def test_ideographs_are_those_of_berts_tokenizer() -> None:
    normalizer = tokenizers.normalizers.BertNormalizer(
        clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=False
    )
    # The compatibility ideographs that composition replaces by others are left out: BERT composes later.
    # And of block E, from U+2B820, `tokenizers` misses the first 256, which BERT's own code has.
    every = [chr(code) for code in range(0x2E80, 0x30000) if not 0x2B820 <= code < 0x2B920]
    every = [c for c in every if unicodedata.normalize("NFC", c) == c and unicodedata.category(c) == "Lo"]

    ours = normalised(pl.Series([f"a{c}b" for c in every]), NormalisationConfig(space_cjk=True))

    assert ours.to_list() == [normalizer.normalize_str(f"a{c}b") for c in every]
