import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from prolepsis.errors import ProlepsisError
from prolepsis.text.corpus.langid import classifier
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
    "ar": "الثعلب البني السريع يقفز فوق الكلب الكسول بينما ينظر الأطفال من نافذة البيت.",
    "ko": "빠른 갈색 여우가 게으른 개를 뛰어넘고 아이들은 집의 창문에서 그것을 보고 있습니다.",
    "th": "สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจในขณะที่เด็กๆ มองจากหน้าต่างบ้าน",
}


Documents = Callable[..., pl.DataFrame]
Judge = Callable[..., list[str | None]]


def test_languages_of_many_scripts_are_recognised(documents: Documents) -> None:
    judged = LanguageFilter(LanguageFilterConfig()).judge(documents(*TEXTS.values()))

    assert judged["language"].to_list() == list(TEXTS)
    assert judged["reason"].to_list() == [None] * len(TEXTS)
    assert judged["score"].is_between(0.65, 1).all()


def test_languages_that_are_not_wanted_are_dropped_rather_than_taken_for_wanted_ones(judge: Judge) -> None:
    reasons = judge(LanguageFilter, *TEXTS.values(), languages=["en", "fr"])

    assert dict(zip(TEXTS, reasons, strict=True)) == {
        language: None if language in ("en", "fr") else "language_not_wanted" for language in TEXTS
    }


def test_what_is_no_language_is_uncertain(judge: Judge) -> None:
    assert judge(LanguageFilter, "## @@ %% ~~ ^^ || <> == ++ §§ ## @@") == ["language_uncertain"]


def test_only_the_middle_of_a_document_is_looked_at(judge: Judge) -> None:
    french = TEXTS["fr"] * 3
    text = french + TEXTS["en"] + french

    assert judge(LanguageFilter, text, languages=["en"], characters=len(TEXTS["en"])) == [None]
    assert judge(LanguageFilter, text, languages=["en"], characters=10_000) == ["language_not_wanted"]


def test_a_wanted_language_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ProlepsisError, match=r"py3langid does not know the language 'english'") as error:
        LanguageFilter(LanguageFilterConfig(languages=["en", "english"]))

    assert "en, eo, es" in str(error.value)


def test_the_filter_goes_to_another_process_by_its_configuration(documents: Documents) -> None:
    config = pickle.loads(pickle.dumps(LanguageFilterConfig(languages=["en"])))

    assert LanguageFilter(config).judge(documents(TEXTS["en"]))["reason"].to_list() == [None]


def test_a_batch_without_documents_is_judged(documents: Documents) -> None:
    assert LanguageFilter(LanguageFilterConfig()).judge(documents()).columns[-1] == "reason"


# --- py3langid is the peer: the compiled classifier must give its answers to the last bit


@pytest.fixture(scope="module")
def py3langid() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


EDGES = [
    "",
    " ",
    "a",
    "12345",
    "##",
    "ALL IN CAPITALS, AND FIRMLY SO",
    "ÉCOLE",
    "cafe\u0301",
    "\U0001f600" * 50,
]
PIECES = st.sampled_from([*TEXTS.values(), *EDGES, "Đa li je ovo dobro?", "Да ли је ово добро?"])


def test_answers_are_those_of_py3langid_whatever_the_text(py3langid: LanguageIdentifier) -> None:
    texts = [*TEXTS.values(), *EDGES, *(text[:length] for text in TEXTS.values() for length in range(1, 40))]
    texts += ["".join(TEXTS.values()) * 20]

    assert classifier().classify(texts) == [py3langid.classify(text) for text in texts]


@given(st.lists(st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=3).map(" ".join)), max_size=12))
def test_answers_are_those_of_py3langid_for_any_batch(
    py3langid: LanguageIdentifier, texts: list[str]
) -> None:
    assert classifier().classify(texts) == [py3langid.classify(text) for text in texts]


@pytest.mark.parametrize("language", ["en", "fr", "es"])
def test_answers_are_those_of_py3langid_on_an_encyclopedia(
    language: str, shared_data: Path, py3langid: LanguageIdentifier
) -> None:
    texts = pl.read_parquet(shared_data / f"text/wikipedia_vital_{language}.parquet")["text"]
    beginnings = texts.gather_every(20).str.head(500).to_list()

    assert classifier().classify(beginnings) == [py3langid.classify(text) for text in beginnings]


def test_serbian_is_one_language_in_both_scripts() -> None:
    assert [language for language, _ in classifier().classify(["Да ли је ово добро или није?"])] == ["sr"]
    assert len(classifier().languages) == len(set(classifier().languages))


# --- lingua


def test_lingua_recognises_the_same_languages(documents: Documents) -> None:
    pytest.importorskip("lingua")
    wanted = [language for language in TEXTS if language != "th"]

    judged = LanguageFilter(LanguageFilterConfig(identifier="lingua", languages=wanted)).judge(
        documents(*TEXTS.values())
    )

    assert judged["language"].to_list() == list(TEXTS)
    assert judged.filter(pl.col("reason") == "language_not_wanted")["language"].to_list() == ["th"]


def test_lingua_does_not_take_every_text_for_the_wanted_language(judge: Judge) -> None:
    pytest.importorskip("lingua")
    texts = [TEXTS["de"], TEXTS["zh"], "## @@ %%"]

    assert judge(LanguageFilter, *texts, identifier="lingua", languages=["en", "no"]) == [
        "language_not_wanted",
        "language_not_wanted",
        "language_uncertain",
    ]


def test_norwegian_is_called_by_the_same_code_as_elsewhere(documents: Documents) -> None:
    pytest.importorskip("lingua")
    text = "Den raske brune reven hopper over den late hunden mens barna ser på fra vinduet i huset sitt."

    judged = LanguageFilter(LanguageFilterConfig(identifier="lingua", languages=["no"], threshold=0)).judge(
        documents(text)
    )

    assert judged["language"].to_list() == ["no"]


def test_without_lingua_one_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lingua", None)

    with pytest.raises(ProlepsisError, match=r"pip install 'prolepsis\[lingua\]'"):
        LanguageFilter(LanguageFilterConfig(identifier="lingua", languages=["eo"]))
