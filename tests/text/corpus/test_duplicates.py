import random

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
    first_of_groups,
)
from prolepsis.text.corpus.filtering import CorpusFilter

VOCABULARY = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrs"]


def run(plugin: CorpusFilter, *batches: pl.DataFrame) -> pl.DataFrame:
    for batch in batches:
        plugin.observe(batch)
    plugin.conclude()
    return pl.concat([plugin.judge(batch) for batch in batches])


def near_duplicates(documents: pl.DataFrame, **config: int) -> pl.DataFrame:
    return run(NearDuplicates(NearDuplicatesConfig(**config)), documents)


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

    expected = {member: min(group) for group in components for member in group if member != min(group)}

    assert first_of_groups(pairs) == expected


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


def test_an_empty_corpus_has_no_duplicates(documents) -> None:
    for plugin in (ExactDuplicates(ExactDuplicatesConfig()), NearDuplicates(NearDuplicatesConfig())):
        plugin.conclude()
        assert plugin.judge(documents())["reason"].to_list() == []
        assert plugin.judge(documents("a text"))["reason"].to_list() == [None]


def test_an_empty_batch_may_be_observed(documents) -> None:
    for plugin in (ExactDuplicates(ExactDuplicatesConfig()), NearDuplicates(NearDuplicatesConfig())):
        assert run(plugin, documents(), documents("a b", "a b"))["reason"].is_not_null().to_list() == [
            False,
            True,
        ]
