"""Scores against gensim's, on the sets of its wheel."""

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.text.word2vec.evaluation import (
    frequent_words,
    locate_evaluation_set,
    neighbour_table,
    principal_plane,
    score_analogies,
    score_outliers,
    score_similarity,
)
from prolepsis.text.word2vec.evaluation_sets import read_outlier_groups
from prolepsis.text.word2vec.vectors import WordVectors

ANALOGIES = "gensim:test/test_data/questions-words.txt"
SIMILARITY = {
    "wordsim353": "gensim:test/test_data/wordsim353.tsv",
    "simlex999": "gensim:test/test_data/simlex999.txt",
}


@pytest.fixture(scope="module")
def vectors() -> WordVectors:
    """Random vectors with planted sense: `b - a + c` is near `d` for most questions of two sections."""
    rng = np.random.default_rng(0)
    lines = locate_evaluation_set(ANALOGIES).read_text(encoding="utf-8").splitlines()
    questions = [line.split() for line in lines if not line.startswith(":")]
    pairs = [
        line.split("\t") for line in locate_evaluation_set(SIMILARITY["wordsim353"]).read_text().splitlines()
    ]
    words = sorted({word for question in questions[:900] for word in question})
    words += sorted({w for pair in pairs if len(pair) == 3 for w in pair[:2]} - set(words))
    # The less frequent form of a word must not count beside the frequent one.
    words += ["ATHENS", "King", "##ing", "2nd", "words"]
    rows = {word: row for row, word in enumerate(words)}
    table = rng.normal(size=(len(words), 24)).astype(np.float32)
    shift = rng.normal(size=24).astype(np.float32)
    for a, b, c, d in questions[:600]:
        for first, second in ((a, b), (c, d)):
            table[rows[second]] = table[rows[first]] + shift + 0.3 * rng.normal(size=24)
    for line in pairs[5:]:
        if len(line) == 3:
            pull = float(line[2]) / 20
            table[rows[line[0]]] = (1 - pull) * table[rows[line[0]]] + pull * table[rows[line[1]]]
    counts = np.arange(len(words), 0, -1)
    languages: list[str | None] = [["en", "fr"][row % 2] for row in range(len(words))]
    return WordVectors(words, counts, languages, table)


@pytest.fixture(scope="module")
def in_gensim(vectors: WordVectors) -> Any:
    models = pytest.importorskip("gensim.models", reason="gensim, the oracle, is not installed")
    keyed = models.KeyedVectors(vectors.dimension)
    keyed.add_vectors(vectors.words, vectors.vectors)
    return keyed


@pytest.mark.parametrize("name", SIMILARITY)
def test_similarity_is_gensims(name: str, vectors: WordVectors, in_gensim: Any) -> None:
    file = locate_evaluation_set(SIMILARITY[name])
    score = score_similarity(vectors, file)
    _, spearman, unknown_percent = in_gensim.evaluate_word_pairs(str(file))
    assert score["spearman"] == pytest.approx(spearman.statistic, abs=1e-9)
    assert 1 - score["coverage"] == pytest.approx(unknown_percent / 100)
    assert score["covered"] > 20 and score["pairs"] == {"wordsim353": 353, "simlex999": 999}[name]


@pytest.mark.parametrize("restrict_to", [150, 30_000])
def test_analogies_are_gensims(restrict_to: int, vectors: WordVectors, in_gensim: Any) -> None:
    file = locate_evaluation_set(ANALOGIES)
    score = score_analogies(vectors, file, restrict_to)
    total, sections = in_gensim.evaluate_word_analogies(str(file), restrict_vocab=restrict_to)
    assert score["accuracy"] == pytest.approx(total)
    assert 0.0 < score["accuracy"] < 1.0
    for section in sections[:-1]:  # the last is the total
        ours = score["sections"][section["section"]]
        assert ours["correct"] == len(section["correct"])
        assert ours["answered"] == len(section["correct"]) + len(section["incorrect"])
    assert score["questions"] == 19_544 and len(score["sections"]) == 14
    assert score["restricted_to"] == min(restrict_to, len(vectors))


def test_what_no_word_covers_has_no_score_rather_than_zero(tmp_path: Path, vectors: WordVectors) -> None:
    (tmp_path / "pairs.tsv").write_text("# unknown words\nqqq\twww\t3\n")
    (tmp_path / "questions.txt").write_text(": one\nqqq www eee rrr\n")
    similarity = score_similarity(vectors, tmp_path / "pairs.tsv")
    assert similarity == {"spearman": None, "pairs": 1, "covered": 0, "coverage": 0.0}
    analogies = score_analogies(vectors, tmp_path / "questions.txt", 100)
    assert analogies["accuracy"] is None and analogies["coverage"] == 0.0


@pytest.mark.parametrize(
    ("content", "where"),
    [("a b 3\n", "line 1"), ("# x\na\tb\t1\n\na\tb\tmuch\n", "line 4"), ("\ufeffa\tb\tnan\n", "line 1")],
)
def test_a_broken_similarity_line_is_named(
    tmp_path: Path, vectors: WordVectors, content: str, where: str
) -> None:
    (tmp_path / "pairs.tsv").write_text(content)
    with pytest.raises(ProlepsisError, match="not a pair of words") as caught:
        score_similarity(vectors, tmp_path / "pairs.tsv")
    assert str(caught.value.where).endswith(where)


@pytest.mark.parametrize("content", ["a b c d\n", ": s\na b c\n"])
def test_a_broken_analogy_is_named(tmp_path: Path, vectors: WordVectors, content: str) -> None:
    (tmp_path / "questions.txt").write_text(content)
    with pytest.raises(ProlepsisError, match="not an analogy"):
        score_analogies(vectors, tmp_path / "questions.txt", 100)


def test_a_set_without_a_question_is_a_message(tmp_path: Path, vectors: WordVectors) -> None:
    file = tmp_path / "set.txt"
    file.write_text("# nothing but a comment\n")
    with pytest.raises(ProlepsisError, match="no pair of words"):
        score_similarity(vectors, file)
    file.write_text(": a section\n\n")
    with pytest.raises(ProlepsisError, match="no analogy"):
        score_analogies(vectors, file, 100)


def test_a_set_that_is_not_utf_8_is_a_message(tmp_path: Path, vectors: WordVectors) -> None:
    file = tmp_path / "set.txt"
    file.write_bytes("café\tthé\t3\n".encode("latin-1"))
    scores: list[Callable[[], Any]] = [
        lambda: score_similarity(vectors, file),
        lambda: score_analogies(vectors, file, 100),
        lambda: score_outliers(vectors, tmp_path),
    ]
    for score in scores:
        with pytest.raises(ProlepsisError, match="not UTF-8: .* at byte 3") as caught:
            score()
        assert caught.value.where == file


def two_themes(noise: float) -> WordVectors:
    """Words a0 to a7 around one direction, b0 to b7 around another."""
    rng = np.random.default_rng(3)
    words = [f"{theme}{number}" for theme in "ab" for number in range(8)]
    table = np.repeat(np.eye(2, 12), 8, axis=0) + noise * rng.normal(size=(16, 12))
    return WordVectors(words, np.ones(16, np.int64), [None] * 16, table.astype(np.float32))


def write_group(folder: Path, group: list[str], outliers: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{group[0]}.txt").write_text("\n".join([*group, "", *outliers]) + "\n")


def test_outliers_are_those_of_the_papers_definition(tmp_path: Path) -> None:
    vectors = two_themes(noise=0.35)
    group, outliers = [f"A{i}" for i in range(8)], [f"b{i}" for i in range(8)]
    write_group(tmp_path, group, outliers)
    positions = []
    for outlier in outliers:
        words = [word.lower() for word in [*group, outlier]]
        compactness = []
        for left_out in words:
            rest = [vectors.unit_vectors[vectors.rows[word]] for word in words if word != left_out]
            cosines = [float(a @ b) for a, b in itertools.permutations(rest, 2)]
            compactness.append(sum(cosines) / len(cosines))
        positions.append(sorted(compactness).index(compactness[-1]) / 8)
    score = score_outliers(vectors, tmp_path)
    assert score["position"] == pytest.approx(np.mean(positions))
    assert score["accuracy"] == np.mean([position == 1 for position in positions])
    assert 0 < score["accuracy"] < 1 and score["answered"] == score["questions"] == 8


def test_unknown_outliers_and_groups_count_against_coverage_only(tmp_path: Path) -> None:
    write_group(tmp_path, ["a0", "a1", "qqq"], ["b0", "zzz"])
    write_group(tmp_path, ["b0", "qqq"], ["a0"])
    assert score_outliers(two_themes(noise=0.0), tmp_path) == {
        "accuracy": 1.0,
        "position": 1.0,
        "questions": 3,
        "answered": 1,
        "coverage": 1 / 3,
    }


@pytest.mark.parametrize("content", ["", "a\nb\n", "a\n\nb\n\nc\n"])
def test_a_broken_group_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "group.txt").write_text(content)
    with pytest.raises(ProlepsisError, match="not a group of words") as caught:
        score_outliers(two_themes(noise=0.0), tmp_path)
    assert str(caught.value.where).endswith("group.txt")


def test_a_folder_without_groups_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(ProlepsisError, match="no group of words"):
        score_outliers(two_themes(noise=0.0), tmp_path)


def test_groups_made_of_analogies_are_of_one_kind_and_their_outliers_of_others() -> None:
    groups = read_outlier_groups(locate_evaluation_set(ANALOGIES))
    assert {len(group.words) for group in groups} == {len(group.outliers) for group in groups} == {8}
    by_word = {word: group for group in groups for word in group.words}
    # No word is in two groups, whatever sections name it.
    assert len(by_word) == 8 * len(groups)
    assert "GEORGIA" not in by_word  # a country, and a state
    kinds = {
        "capitals": {"ATHENS", "HAVANA", "TOKYO", "VIENNA", "ZAGREB", "ACCRA"},
        "countries": {"GREECE", "CUBA", "JAPAN", "AUSTRIA", "CROATIA", "GHANA"},
        "currencies": {"EURO", "DOLLAR", "DRAM", "KRONA", "YEN", "PESO"},
        "cities": {"CHICAGO", "HOUSTON", "MEMPHIS", "DALLAS"},
        "states": {"ILLINOIS", "TEXAS", "ALABAMA", "OHIO"},
        "men": {"BOY", "BROTHER", "FATHER", "KING"},
        "women": {"GIRL", "SISTER", "MOTHER", "QUEEN"},
    }
    for members in kinds.values():
        own_groups = [by_word[word] for word in members if word in by_word]
        assert len(own_groups) >= 3
        others = set.union(*kinds.values()) - members
        assert not {word for group in own_groups for word in group.words} & others
        assert not {word for group in own_groups for word in group.outliers} & members
        assert len(set(own_groups[0].outliers)) == 8
    # Nothing of the sections about grammar.
    assert not {"AMAZING", "BETTER", "DANCING", "CATS"} & {*by_word, *groups[0].outliers}


def test_analogies_score_outliers_of_planted_kinds() -> None:
    groups = read_outlier_groups(locate_evaluation_set(ANALOGIES))
    capitals = [group for group in groups if {"ATHENS", "ACCRA"} & set(group.words)]
    words = sorted({word for group in groups for word in [*group.words, *group.outliers]})
    members = {word for group in capitals for word in group.words}
    table = np.random.default_rng(0).normal(size=(len(words), 30))
    table[[words.index(word) for word in members]] += 8
    vectors = WordVectors(
        [word.lower() for word in words],
        np.ones(len(words), np.int64),
        [None] * len(words),
        table.astype(np.float32),
    )
    score = score_outliers(vectors, locate_evaluation_set(ANALOGIES))
    assert score["questions"] == score["answered"] == 8 * len(groups)
    assert score["coverage"] == 1.0
    # Right for all outliers of the planted groups, by chance for the others.
    assert score["accuracy"] >= len(capitals) / len(groups)
    assert score["accuracy"] < 0.4


@pytest.mark.parametrize("section", ["gram1", "family"])
def test_analogies_without_two_kinds_of_enough_words_make_no_groups(tmp_path: Path, section: str) -> None:
    file = tmp_path / "questions.txt"
    file.write_text(f": {section}\nboy girl man woman\nking queen son daughter\n")
    with pytest.raises(ProlepsisError, match="no words of two kinds") as caught:
        score_outliers(two_themes(noise=0.0), file)
    assert caught.value.where == file


def test_a_missing_package_or_file_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(ProlepsisError, match="not installed") as caught:
        locate_evaluation_set("no_such_package:pairs.tsv")
    assert "demo" in (caught.value.remedy or "")
    with pytest.raises(ProlepsisError, match="not installed"):
        locate_evaluation_set("no_such_package.nor_this:pairs.tsv")
    for reference in ("gensim:no/such/file.tsv", str(tmp_path / "none.tsv"), r"C:\none.tsv"):
        with pytest.raises(ProlepsisError, match="no evaluation set"):
            locate_evaluation_set(reference)
    with pytest.raises(ProlepsisError, match="no evaluation set"):
        locate_evaluation_set("gensim:test/test_data")
    assert locate_evaluation_set("gensim:test/test_data", may_be_folder=True).is_dir()
    assert locate_evaluation_set(ANALOGIES, may_be_folder=True).is_file()


def test_sets_are_found_without_importing_the_package() -> None:
    code = (
        "import sys; from prolepsis.text.word2vec.evaluation import locate_evaluation_set as locate;"
        f"assert locate({ANALOGIES!r}).is_file(); assert 'gensim' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_neighbours_are_the_nearest_whole_words(vectors: WordVectors, in_gensim: Any) -> None:
    whole = {word for word in vectors.words if word.isalpha()}
    expected = [(w, c) for w, c in in_gensim.most_similar("Athens", topn=len(vectors)) if w in whole][:5]
    ours = vectors.neighbours("Athens", 5)
    assert [word for word, _ in ours] == [word for word, _ in expected]
    assert [cosine for _, cosine in ours] == pytest.approx([cosine for _, cosine in expected], abs=1e-5)
    with pytest.raises(ProlepsisError, match="'qqq' has no vector"):
        vectors.neighbours("qqq")


def test_analogies_of_three_words_are_gensims(vectors: WordVectors, in_gensim: Any) -> None:
    whole = {word for word in vectors.words if word.isalpha()}
    found = in_gensim.most_similar(positive=["Baghdad", "Greece"], negative=["Athens"], topn=len(vectors))
    expected = [(word, cosine) for word, cosine in found if word in whole][:4]
    ours = vectors.analogies("Athens", "Greece", "Baghdad", count=4)
    assert [word for word, _ in ours] == [word for word, _ in expected]
    assert [cosine for _, cosine in ours] == pytest.approx([cosine for _, cosine in expected], abs=1e-5)
    assert ours[0][0] == "Iraq"
    with pytest.raises(ProlepsisError, match="'qqq' has no vector"):
        vectors.analogies("Athens", "Greece", "qqq")


def test_the_neighbour_table_has_a_row_for_each_known_word(vectors: WordVectors) -> None:
    table = neighbour_table(vectors, ["Athens", "qqq", "Greece"], 3)
    assert table["word"].to_list() == ["Athens", "Greece"]
    first, cosine = vectors.neighbours("Athens", 1)[0]
    assert table["neighbours"][0].startswith(f"{first} {cosine:.2f}, ")
    assert table["nearest_cosine"][0] == pytest.approx(cosine)
    assert table["occurrences"][0] == vectors.counts[vectors.rows["Athens"]]


def test_frequent_words_are_whole_long_and_of_each_language(vectors: WordVectors) -> None:
    words = frequent_words(vectors, per_language=3, min_letters=6)
    languages = [vectors.languages[vectors.rows[word]] for word in words]
    assert languages == ["en"] * 3 + ["fr"] * 3
    assert all(len(word) >= 6 and word.isalpha() for word in words)
    english = [vectors.words[row] for row, name in enumerate(vectors.languages) if name == "en"]
    assert words[:3] == [w for w in english if len(w) >= 6 and w.isalpha()][:3]


def test_the_plane_is_that_of_principal_component_analysis(vectors: WordVectors) -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    words = vectors.words[:40]
    expected = decomposition.PCA(2).fit_transform(vectors.unit_vectors[:40].astype(np.float64))
    np.testing.assert_allclose(np.abs(principal_plane(vectors, words)), np.abs(expected), atol=1e-9)
