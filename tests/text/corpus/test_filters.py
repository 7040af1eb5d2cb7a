import re
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prolepsis import plugins
from prolepsis.text.corpus.filters.c4 import C4Config, C4Filter
from prolepsis.text.corpus.filters.fineweb import FineWebFilter
from prolepsis.text.corpus.filters.gopher import (
    GopherQualityFilter,
    GopherRepetitionConfig,
    GopherRepetitionFilter,
)

SENTENCE = "The weather was good and we had to walk with the dog to the river of our town that day. "
GOOD = (
    SENTENCE * 1
    + "People said that rain would be coming, and have brought umbrellas to the market place with them. "
)
GOOD += "Nobody of the group could know what the morning after would bring, so all went to bed early to rest."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD, None),
        ("the and " * 24 + "word", "gopher_short_doc"),
        ("word the " * 50_001, "gopher_long_doc"),
        ("to be or " * 20, "gopher_below_avg_threshold"),
        ("the uncharacteristically and counterrevolutionaries " * 20, "gopher_above_avg_threshold"),
        ("# hashes and the " * 20, "gopher_too_many_hashes"),
        ("dots... and the " * 20, "gopher_too_many_ellipsis"),
        ("• bullet and the\n" * 20, "gopher_too_many_bullets"),
        ("- bullet and the\n" * 20, "gopher_too_many_bullets"),
        ("words in the line and more that go to the end of it…\n" * 10, "gopher_too_many_end_ellipsis"),
        ("12345 the 678910 and " * 20, "gopher_below_alpha_threshold"),
        ("green ideas sleep furiously " * 20, "gopher_enough_stop_words"),
    ],
)
def test_gopher_quality_gives_its_reasons(text: str, reason: str | None, judge) -> None:
    assert judge(GopherQualityFilter, text) == [reason]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("fr", "Le chat dort sur la chaise et les enfants jouent dans le jardin du voisin. "),
        ("es", "El gato duerme en la silla y los niños juegan en el jardín de la vecina. "),
        ("de", "Die Katze schläft auf dem Stuhl und die Kinder spielen mit der Nachbarin. "),
        ("zh", "猫在椅子上睡觉,孩子们在花园里玩耍。"),
    ],
)
def test_a_text_is_not_dropped_for_lacking_english_words(language: str, text: str, judge) -> None:
    assert judge(GopherQualityFilter, text * 5, language=language) == [None]
    if language != "zh":
        assert judge(GopherQualityFilter, text * 5, language="en") == ["gopher_enough_stop_words"]


def test_stop_words_can_be_given_for_a_language_of_ones_own(judge) -> None:
    text = "la domo estas granda kaj la arbo estas alta " * 8

    assert judge(GopherQualityFilter, text, language="eo") == [None]
    assert judge(GopherQualityFilter, text, language="eo", stop_words={"eo": ["sed", "ĉar"]}) == [
        "gopher_enough_stop_words"
    ]


def test_documents_of_several_languages_in_a_batch_are_judged_by_their_own_words(documents) -> None:
    english, french = SENTENCE * 4, "Le chat dort sur la chaise et les enfants jouent dans le jardin. " * 5
    batch = documents(english, french, english).with_columns(language=documents("", "", "")["language"])
    batch = batch.with_columns(language=documents("en", "fr", "fr")["text"])

    judged = GopherQualityFilter(GopherQualityFilter.Config()).judge(batch)

    assert judged["reason"].to_list() == [None, None, "gopher_enough_stop_words"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD, None),
        ("\n\n".join(["one paragraph", "and another"] * 3), "dup_para_frac"),
        ("\n\n".join([GOOD, GOOD, "a", "b", "c"]), "dup_para_char_frac"),
        ("\n".join(["one line", "and another"] * 3), "dup_line_frac"),
        ("\n".join([GOOD, GOOD, "a", "b", "c"]), "dup_line_char_frac"),
        ("buy now " * 3 + "or you will be sorry", "top_2_gram"),
        ("word", None),
    ],
)
def test_gopher_repetition_gives_its_reasons(text: str, reason: str | None, judge) -> None:
    assert judge(GopherRepetitionFilter, text) == [reason]


@pytest.mark.parametrize("n", [5, 6, 7, 8, 9, 10])
def test_runs_of_words_that_occur_again_are_found(n: int, judge) -> None:
    letters = [f"{a}{b}" for a in "abcdefghijkl" for b in "mnopqrstuvwx"]
    run, rest = letters[:n], letters[n:]
    # The run comes back after every few new words, too rarely to be the rule of a smaller n.
    gap = 16
    words = [word for start in range(0, 4 * gap, gap) for word in [*run, *rest[start : start + gap]]]
    only = {"top_ngrams": {}, "duplicate_ngrams": {n: 0.10}}

    assert judge(GopherRepetitionFilter, " ".join(words), **only) == [f"duplicated_{n}_n_grams"]
    assert judge(GopherRepetitionFilter, " ".join(letters), **only) == [None]


def shares_by_hand(text: str) -> dict[str, float]:
    """The n-gram figures of datatrove's repetition filter, in the plainest Python, on words of letters."""
    words = text.split()
    shares = {}
    for n in range(2, 5):
        counts = Counter(" ".join(words[start : start + n]) for start in range(len(words) - n + 1))
        ngram, count = counts.most_common(1)[0] if counts else ("", 0)
        shares[f"top_{n}_gram"] = len(ngram) * count / len(text)
    for n in range(5, 11):
        seen, repeated, start = set(), 0, 0
        while start + n <= len(words):
            ngram = "".join(words[start : start + n])
            repeated += len(ngram) if ngram in seen else 0
            start += n if ngram in seen else 1
            seen.add(ngram)
        shares[f"duplicated_{n}_n_grams"] = repeated / len(text)
    return shares


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words_of_texts=st.lists(
        st.lists(st.sampled_from(["a", "bc", "def", "g", "hijk"]), min_size=1, max_size=40), max_size=4
    )
)
def test_the_quick_screen_for_repetitions_misses_none(words_of_texts: list[list[str]], documents) -> None:
    config = GopherRepetitionConfig()
    texts = [" ".join(words) for words in words_of_texts]
    limits = {f"top_{n}_gram": most for n, most in config.top_ngrams.items()}
    limits |= {f"duplicated_{n}_n_grams": most for n, most in config.duplicate_ngrams.items()}
    expected = [
        next((name for name, share in shares_by_hand(text).items() if share > limits[name]), None)
        for text in texts
    ]

    assert GopherRepetitionFilter(config).judge(documents(*texts))["reason"].to_list() == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("One is here. Two is here. Three is here. Four is here. Five is here.", None),
        ("One is here. Two is here. Three is here. Four is here.", "too_few_sentences"),
        ("Lorem ipsum dolor sit amet. " * 6, "lorem_ipsum"),
        ("The code is x = {1}. " * 6, "curly_bracket"),
        ("no end of a sentence\n" * 6, "too_few_sentences"),
        ("it trails off into...\n" * 6, "too_few_sentences"),
        ("Two words.\n" * 6, "too_few_sentences"),
        ("Please enable JavaScript now.\n" * 6, "too_few_sentences"),
        ("This site uses cookies daily.\n" * 6, "too_few_sentences"),
        (("x" * 1001 + " is too long.\n") * 6, "too_few_sentences"),
    ],
)
def test_c4_gives_its_reasons(text: str, reason: str | None, judge) -> None:
    assert judge(C4Filter, text) == [reason]


def test_c4_removes_lines_and_citations_from_what_it_keeps(documents) -> None:
    kept = "The first line is good [12]. It is long.\nmenu entry\nThe last line is good[citation needed] too."
    dropped = "menu entry\nother entry"

    judged = C4Filter(C4Config(min_sentences=3)).judge(documents(kept, dropped))

    assert judged["reason"].to_list() == [None, "too_few_sentences"]
    assert judged["text"].to_list() == [
        "The first line is good . It is long.\nThe last line is good too.",
        dropped,
    ]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One two three. Four five six! Seven eight nine?", 3),
        ('He said "stop it." Then he left.', 2),
        ("It costs 3.50 a piece, e.g. here.", 1),
        ("这是第一句。这是第二句!", 1),
        ("Ceci est une phrase. Élan de plus.", 2),
    ],
)
def test_sentences_are_counted_by_their_ends(text: str, sentences: int, judge) -> None:
    config = {"min_words_per_line": 1, "require_sentence_end": False}

    assert judge(C4Filter, text, min_sentences=sentences, **config) == [None]
    if not text.startswith("这"):
        assert judge(C4Filter, text, min_sentences=sentences + 1, **config) == ["too_few_sentences"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD, None),
        (
            "\n".join(f"this long line number {n} has no end" for n in range(9)),
            "line_punct_ratio",
        ),
        ("\n".join([f"A short line {n}." for n in range(9)] + [GOOD]), "short_line_ratio"),
        (f"{GOOD}\n{GOOD}", "char_dup_ratio"),
        ("\n".join(f"Onelongword{n:025}." for n in range(20)), "list_ratio"),
    ],
)
def test_fineweb_gives_its_reasons(text: str, reason: str | None, judge) -> None:
    assert judge(FineWebFilter, text) == [reason]


def test_fineweb_measures_repeated_lines_against_the_text_without_its_line_ends(documents) -> None:
    twice = "It is said two times in this text."
    text = "\n".join([twice, *(f"This is line number {n:03} of the whole text." for n in range(20)), twice])
    config = FineWebFilter.Config(max_duplicate_characters=0)

    judged = FineWebFilter(config).judge(documents(text))

    assert judged["reason"].to_list() == ["char_dup_ratio"]
    assert judged["score"].to_list() == [pytest.approx(len(twice) / len(text.replace("\n", "")))]


@pytest.mark.parametrize("name", ["c4", "fineweb", "gopher_quality", "gopher_repetition", "language"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=80), max_size=3
    )
)
def test_every_filter_answers_for_every_text_and_keeps_rows_in_order(
    name: str, texts: list[str], documents
) -> None:
    plugin = plugins.load("prolepsis.corpus_filters", name)

    judged = plugin(plugin.Config()).judge(documents(*texts))

    assert judged["id"].to_list() == [str(n) for n in range(len(texts))]
    assert all(reason is None or re.fullmatch("[a-z0-9_]+", reason) for reason in judged["reason"])
    assert not judged["score"].is_nan().any()


def test_the_score_is_the_figure_that_decided(documents) -> None:
    judged = GopherQualityFilter(GopherQualityFilter.Config()).judge(documents(GOOD, "only four words here"))

    assert judged["score"].to_list() == [None, 4.0]
