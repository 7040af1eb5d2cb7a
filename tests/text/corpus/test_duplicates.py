import random
from typing import Any

import networkx
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.text.corpus.duplicates import (
    ExactDuplicates,
    ExactDuplicatesConfig,
    NearDuplicates,
    NearDuplicatesConfig,
    ParagraphDuplicates,
    ParagraphDuplicatesConfig,
)
from prolepsis.text.corpus.filtering import CorpusFilter, partitions
from prolepsis.text.corpus.groups import first_of_groups

VOCABULARY = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrs"]


def run(plugin: CorpusFilter, *batches: pl.DataFrame) -> pl.DataFrame:
    observed = pl.concat([plugin.observe(batch) for batch in batches])
    verdict = pl.concat(list(plugin.conclude(observed.lazy())))
    return pl.concat([plugin.judge(batch, verdict) for batch in batches])


def near_duplicates(documents: pl.DataFrame, **config: Any) -> pl.DataFrame:
    return run(NearDuplicates(NearDuplicatesConfig(**config)), documents)


def paragraph_duplicates(documents: pl.DataFrame, **config: Any) -> pl.DataFrame:
    return run(ParagraphDuplicates(ParagraphDuplicatesConfig(**config)), documents)


def prose(draw: random.Random, words: int) -> list[str]:
    return [draw.choice(VOCABULARY) for _ in range(words)]


def jaccard(left: str, right: str, n: int = 5) -> float:
    """Of the sets of runs of n words, by their definition."""
    sets = [
        {tuple(words[start : start + n]) for start in range(len(words) - n + 1)}
        for words in (left.split(), right.split())
    ]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@given(st.lists(st.sampled_from("abc"), max_size=12), st.integers(1, 12))
def test_the_first_of_equal_texts_is_kept_across_batches(texts: list[str], size: int) -> None:
    whole = pl.DataFrame({"number": range(len(texts)), "text": texts}).with_columns(
        pl.col("number").cast(pl.UInt64), pl.col("text").cast(pl.String)
    )
    batches = [whole[start : start + size] for start in range(0, len(texts), size)] or [whole]

    judged = run(ExactDuplicates(ExactDuplicatesConfig()), *batches)

    seen: set[str] = set()
    for text, reason in judged.select("text", "reason").iter_rows():
        assert (reason == "exact_duplicate") == (text in seen)
        seen.add(text)


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=20))
def test_groups_are_the_connected_components_and_led_by_their_smallest(pairs: list[tuple[int, int]]) -> None:
    components = networkx.connected_components(networkx.Graph(pairs))

    expected = {member: min(group) for group in components for member in group}
    lefts, rights = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    halves = [(lefts[::2], rights[::2]), (lefts[1::2], rights[1::2])]

    assert first_of_groups(16, halves).tolist() == [expected.get(member, member) for member in range(16)]


def test_a_text_with_a_few_words_changed_is_dropped_and_the_first_kept(documents) -> None:
    draw = random.Random(0)
    words = prose(draw, 100)
    changed = [*words[:50], "changed", *words[51:]]
    others = [" ".join(prose(draw, 100)) for _ in range(20)]

    judged = near_duplicates(documents(*others, " ".join(words), *others[:0], " ".join(changed)))

    assert judged["reason"].to_list() == [None] * 21 + ["near_duplicate"]


def test_case_accents_punctuation_and_numbers_do_not_make_a_text_another_one(documents) -> None:
    judged = near_duplicates(
        documents(
            "Le 3 mai 1808, à Madrid, l'été commençait: on fusilla les insurgés devant la porte.",
            "LE 12 MAI 1914 A MADRID L'ETE COMMENCAIT - ON FUSILLA LES INSURGES (DEVANT LA PORTE)",
        )
    )

    assert judged["reason"].to_list() == [None, "near_duplicate"]
    assert judged["score"][1] == 1.0


def test_the_score_is_close_to_the_jaccard_similarity(documents) -> None:
    draw = random.Random(1)
    for changes in (1, 3, 5):
        words = prose(draw, 400)
        other = list(words)
        for position in draw.sample(range(400), changes):
            other[position] = "changed"
        left, right = " ".join(words), " ".join(other)

        judged = near_duplicates(documents(left, right))

        # 112 hashes estimate a share with a standard error below 0.05.
        assert judged["score"][1] == pytest.approx(jaccard(left, right), abs=0.15)


@pytest.mark.parametrize(
    ("similarity", "least", "most"), [(0.85, 0.9, 1.0), (0.72, 0.45, 0.85), (0.35, 0.0, 0.05)]
)
def test_pairs_are_found_as_often_as_the_bands_promise(
    similarity: float, least: float, most: float, documents
) -> None:
    draw = random.Random(2)
    pairs = []
    while len(pairs) < 200:
        words = prose(draw, 120)
        kept = round(116 * 2 * similarity / (1 + similarity)) + 4
        other = words[:kept] + prose(draw, 120 - kept)
        left, right = " ".join(words), " ".join(other)
        if abs(jaccard(left, right) - similarity) < 0.02:
            pairs += [left, right]

    judged = near_duplicates(documents(*pairs))

    promised = 1 - (1 - similarity**8) ** 14
    found = judged["reason"].is_not_null().sum() / 100
    assert least <= found <= most
    assert found == pytest.approx(promised, abs=0.15)


def test_documents_linked_through_others_are_one_group(documents) -> None:
    draw = random.Random(3)
    chain = [prose(draw, 200)]
    for step in range(1, 6):
        following = list(chain[-1])
        following[step * 30 : step * 30 + 4] = prose(draw, 4)
        chain.append(following)

    judged = near_duplicates(documents(*(" ".join(words) for words in chain)))

    assert judged["reason"].to_list() == [None] + ["near_duplicate"] * 5
    assert (np.diff(judged["score"][1:].to_numpy()) < 0.05).all()


def test_texts_without_words_are_no_duplicates_of_each_other(documents) -> None:
    judged = near_duplicates(documents("!!!", "???", "one two", "one two", "…"))

    assert judged["reason"].to_list() == [None, None, None, "near_duplicate", None]


def test_texts_shorter_than_a_shingle_are_compared_as_a_whole(documents) -> None:
    judged = near_duplicates(documents("one two three", "One two three!", "one two four", "two three"))

    assert judged["reason"].to_list() == [None, "near_duplicate", None, None]


def test_chinese_texts_are_compared_by_characters(documents) -> None:
    text = "敏捷的棕色狐狸跳过了懒狗孩子们从房子的窗户里看着这一切而老人坐在树下读书喝茶晒太阳"

    judged = near_duplicates(documents(text, text + "吧", text[::-1]))

    assert judged["reason"].to_list() == [None, "near_duplicate", None]


def test_batches_make_no_difference(documents) -> None:
    draw = random.Random(4)
    texts = [" ".join(prose(draw, 60)) for _ in range(30)]
    texts += [f"{text} more" for text in texts[:10]]
    draw.shuffle(texts)
    whole = documents(*texts)

    together = near_duplicates(whole)
    apart = run(NearDuplicates(NearDuplicatesConfig()), *whole.iter_slices(7))

    assert together.equals(apart)
    assert together["reason"].is_not_null().sum() == 10


@pytest.mark.parametrize(
    "plugin",
    [
        ExactDuplicates(ExactDuplicatesConfig()),
        NearDuplicates(NearDuplicatesConfig()),
        NearDuplicates(NearDuplicatesConfig(min_similarity=0.5)),
        ParagraphDuplicates(ParagraphDuplicatesConfig()),
    ],
)
def test_without_duplicates_nothing_is_dropped(plugin: CorpusFilter, documents) -> None:
    for batch in (documents(), documents("a text"), documents("a text", "?", "another text of more words")):
        assert run(plugin, batch)["reason"].to_list() == [None] * batch.height


def test_verified_duplicates_have_the_similarity_that_was_asked_for(documents) -> None:
    draw = random.Random(5)
    texts = []
    for changes in (0, 1, 2, 4, 8, 12):
        words = prose(draw, 200)
        other = list(words)
        for position in draw.sample(range(200), changes):
            other[position] = "changed"
        texts += [" ".join(words), " ".join(other)]

    judged = near_duplicates(documents(*texts), min_similarity=0.9, bands=56, rows=2)

    for left in range(0, len(texts), 2):
        similar = jaccard(texts[left], texts[left + 1]) >= 0.9
        assert (judged["reason"][left + 1] == "near_duplicate") == similar
    assert 0 < judged["reason"].is_not_null().sum() < 6


def test_a_paragraph_stays_where_it_stands_first(documents) -> None:
    notice = "This book is for the use of anyone anywhere at no cost."
    judged = paragraph_duplicates(
        documents(
            f"First.\n\n{notice}",
            f"{notice.replace(' ', '  ')}\n\nSecond.",
            f"Third.\n\n{notice}\n\n{notice}",
        ),
        min_characters=20,
    )

    assert judged["text"].to_list() == [f"First.\n\n{notice}", "Second.", "Third."]
    assert judged["reason"].to_list() == [None] * 3
    assert judged["score"][0] is None
    assert judged["score"][2] == pytest.approx(1 - 6 / 120)


def test_a_document_of_which_no_paragraph_is_left_is_dropped_with_its_text(documents) -> None:
    judged = paragraph_duplicates(documents("A paragraph.", "A paragraph.\n\nA paragraph."), min_characters=5)

    assert judged["reason"].to_list() == [None, "duplicate_paragraphs"]
    assert judged["text"][1] == "A paragraph.\n\nA paragraph."
    assert judged["score"][1] == 1.0


def test_short_paragraphs_stay_however_often_they_occur(documents) -> None:
    texts = [f"* * *\n\n{words} and so on for more than a line\n\n* * *" for words in ("One", "Two")]

    assert paragraph_duplicates(documents(*texts))["text"].to_list() == texts


@given(st.lists(st.lists(st.sampled_from(["aaaa", "bbbb", "cccc"]), min_size=1, max_size=4), max_size=6))
def test_every_paragraph_is_left_once(texts: list[list[str]]) -> None:
    whole = pl.DataFrame(
        {"number": range(len(texts)), "text": ["\n\n".join(parts) for parts in texts]},
        schema={"number": pl.UInt64, "text": pl.String},
    )

    judged = paragraph_duplicates(whole, min_characters=1)

    left = [part for text in judged.filter(pl.col("reason").is_null())["text"] for part in text.split("\n\n")]
    assert sorted(left) == sorted({part for parts in texts for part in parts})


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20), st.integers(1, 5))
def test_partitions_divide_the_rows_and_keep_equal_hashes_together(hashes: list[int], size: int) -> None:
    frame = pl.DataFrame({"hash": [*hashes, *hashes]}, schema={"hash": pl.UInt64})

    parts = [frame.filter(part)["hash"].to_list() for part in partitions("hash", frame.height, size)]

    assert sorted(value for part in parts for value in part) == sorted([*hashes, *hashes])
    assert all(
        parts[i].count(value) == 2 * hashes.count(value) for i in range(len(parts)) for value in parts[i]
    )
    assert len(parts) == max(1, -(-frame.height // size))
