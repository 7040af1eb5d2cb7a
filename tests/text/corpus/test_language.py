import pytest

from prolepsis.text.corpus.language import LanguageFilter, LanguageFilterConfig

# One sentence, the fox and the dog and the children at the window, in several languages.
TEXTS = {
    "en": "The quick brown fox jumps over the lazy dog while the children watch from the window.",
    "fr": "Le renard brun saute par-dessus le chien paresseux pendant que les enfants regardent dehors.",
    "es": "El zorro marrón salta sobre el perro perezoso mientras los niños miran desde la ventana.",
    "de": "Der braune Fuchs springt über den faulen Hund, während die Kinder aus dem Fenster schauen.",
    "ru": "Бурая лиса прыгает через ленивую собаку, пока дети смотрят из окна своего большого дома.",
    "zh": "敏捷的棕色狐狸跳过了懒狗,孩子们从房子的窗户里看着这一切。",
    "ja": "すばやい茶色の狐がのろまな犬を飛び越え、子供たちは家の窓からそれを見ています。",
    "th": "สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจในขณะที่เด็กๆ มองจากหน้าต่างบ้าน",
}


@pytest.mark.parametrize("language", TEXTS)
def test_languages_of_many_scripts_are_recognised(language: str, documents) -> None:
    judged = LanguageFilter(LanguageFilterConfig()).judge(documents(TEXTS[language]))

    assert judged["language"].to_list() == [language]
    assert judged["reason"].to_list() == [None]
    assert 0.65 <= judged["score"][0] <= 1


def test_languages_that_are_not_wanted_are_dropped_rather_than_taken_for_wanted_ones(judge) -> None:
    reasons = judge(LanguageFilter, *TEXTS.values(), languages=["en", "fr"])

    assert dict(zip(TEXTS, reasons, strict=True)) == {
        language: None if language in ("en", "fr") else "language_not_wanted" for language in TEXTS
    }


def test_what_is_no_language_is_uncertain(judge) -> None:
    assert judge(LanguageFilter, "## @@ %% ~~ ^^ || <> == ++ §§ ## @@") == ["language_uncertain"]


def test_only_the_beginning_of_a_document_is_looked_at(judge) -> None:
    text = TEXTS["en"] + " " + TEXTS["de"] * 10

    assert judge(LanguageFilter, text, languages=["en"], characters=len(TEXTS["en"])) == [None]
    assert judge(LanguageFilter, text, languages=["en"], characters=1000) == ["language_not_wanted"]
