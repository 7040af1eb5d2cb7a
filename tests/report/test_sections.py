"""Sections show what the datasets hold: every figure in them is in the datasets."""

from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from prolepsis.report import checks, curves, frames, words
from prolepsis.report.blocks import BarChart, Block, Details, Grid, LineChart, Picture, Section, Table, Text


def blocks(section: Section, kind: type[Any]) -> list[Any]:
    """All blocks of a kind, those folded away too."""

    def walk(some: Any) -> Any:
        for block in some:
            yield block
            if isinstance(block, Details | Grid):
                yield from walk(block.blocks)

    return [block for block in walk(section.blocks) if isinstance(block, kind)]


def rows(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def texts(section: Section) -> str:
    found: list[Block] = blocks(section, Text)
    return " ".join(block.text for block in found if isinstance(block, Text))


@pytest.fixture
def by_name(sections: list[Section]) -> dict[str, Section]:
    return {section.identifier: section for section in sections}


def test_the_corpus_shows_its_waterfall(by_name: dict[str, Section]) -> None:
    (chart,) = blocks(by_name["corpus"], BarChart)
    bar = chart.bars[2]
    assert (bar.label, bar.text) == ("gopher quality", "1,800  (−190)")
    assert (bar.share, bar.lost) == (0.9, 0.095)
    waterfall = rows(blocks(by_name["corpus"], Table)[0])
    assert waterfall[2] == ["gopher quality", "1,990", "190", "9.5 %", "390.6 KiB", "8.2 %"]
    assert by_name["corpus"].highlights[0].value == "1,640"


def test_the_corpus_shows_what_each_step_dropped_of_each_language_and_source(
    by_name: dict[str, Section],
) -> None:
    languages, sources = blocks(by_name["corpus"], Table)[1:3]
    assert languages.columns == (
        *("by language", "documents", "language", "gopher quality", "exact duplicates", "near duplicates"),
        "kept",
    )
    assert rows(languages) == [
        ["de", "600", "0.0 %", "25.0 %", "0.0 %", "0.0 %", "75.0 %"],
        ["xx", "10", "100.0 %", "–", "–", "–", "0.0 %"],
    ]
    assert rows(sources) == [["books/", "2,000", "0.0 %", "100.0 %"]]


def test_the_corpus_shows_examples_for_each_reason_its_files_and_those_set_aside(
    by_name: dict[str, Section],
) -> None:
    examples, files, set_aside = (rows(table) for table in blocks(by_name["corpus"], Table)[3:6])
    assert [row[1] for row in examples] == [
        *["gopher_short_doc"] * 2,
        "gopher_too_many_hashes",
        *["exact_duplicate"] * 2,
        "near_duplicate",
    ]
    assert all(len(cell) <= 240 for row in examples for cell in row)
    assert files == [["a.txt", "cp1252", "2", "2,000"]]
    assert ["broken.txt", "not UTF-8 at byte 17"] in set_aside


def test_a_corpus_without_a_bad_file_says_so(run: SimpleNamespace) -> None:
    none = run.corpus["set_aside_files"].clear()
    section = words.describe_corpus(**run.corpus | {"set_aside_files": none})
    assert "Every file could be read." in texts(section)


def test_tokenizers_stand_side_by_side(by_name: dict[str, Section]) -> None:
    overall, by_language, *_ = blocks(by_name["tokenizers"], Table)
    assert overall.columns == ("figure", "wordpiece", "byte bpe", "word level")
    assert ["fertility", "1.52", "1.41", "1.20"] in rows(overall)
    assert rows(by_language) == [
        ["de", "1.72", "1.61", "1.40"],
        ["en", "1.22", "1.11", "0.900"],
        ["ja", "2.12", "2.01", "1.80"],
    ]
    assert max(cell.share or 0 for row in by_language.rows for cell in row) == 1


def test_tokenizers_are_compared_at_every_vocabulary_size(by_name: dict[str, Section]) -> None:
    sizes = blocks(by_name["tokenizers"], Table)[2]
    assert list(sizes.columns[:4]) == ["tokenizer", "vocabulary size", "num ids", "fertility"]
    assert [row[:4] for row in rows(sizes)] == [
        ["wordpiece", "4,000", "4,000", "1.60"],
        ["wordpiece", "8,000", "7,500", "1.40"],
        ["byte bpe", "4,000", "4,000", "1.50"],
        ["byte bpe", "8,000", "7,500", "1.30"],
        ["word level", "4,000", "4,000", "1.40"],
        ["word level", "8,000", "7,500", "1.20"],
    ]
    (picture,) = blocks(by_name["tokenizers"], Picture)
    assert "vocabulary size" in picture.description


def test_every_score_of_word_vectors_stands_beside_its_coverage(by_name: dict[str, Section]) -> None:
    scores, neighbours, *_ = blocks(by_name["word-vectors"], Table)
    assert rows(scores) == [
        ["similarity · wordsim353", "Spearman", "0.410", "83.0 %", "293 of 353"],
        ["analogies", "accuracy", "12.0 %", "50.0 %", "450 of 900"],
    ]
    assert rows(neighbours) == [
        ["king", "en", "510", "queen 0.70, throne 0.61"],
        ["wasser", "de", "90", "milch 0.60"],
    ]


@pytest.mark.parametrize(
    ("model", "output", "told"),
    [
        (
            "skip_gram",
            "negative_sampling",
            "Skip-gram with negative sampling: a word's vector learns to",
        ),
        (
            "skip_gram",
            "hierarchical_softmax",
            "Skip-gram with hierarchical softmax: a word's vector learns",
        ),
        ("cbow", "negative_sampling", "CBOW with negative sampling: the mean of the vectors around a word"),
        ("cbow", "hierarchical_softmax", "lead to that word in a tree of all words."),
        (None, None, "A word's vector learns to predict the words around it."),
    ],
)
def test_word_vectors_are_told_of_as_they_were_learnt(
    run: SimpleNamespace, model: str | None, output: str | None, told: str
) -> None:
    metrics = run.word2vec_metrics | ({} if model is None else {"model": model, "output": output})
    section = words.describe_word_vectors(metrics, run.word2vec_curves, run.word_neighbours, run.word_map)
    assert told in section.lead


def test_outliers_are_shown_where_they_were_scored(run: SimpleNamespace) -> None:
    outliers = {"accuracy": 0.5, "position": 0.8125, "questions": 8, "answered": 6, "coverage": 0.75}
    metrics = run.word2vec_metrics | {"outliers": outliers}
    section = words.describe_word_vectors(metrics, run.word2vec_curves, run.word_neighbours, run.word_map)
    assert rows(blocks(section, Table)[0])[2:] == [
        ["outliers", "accuracy", "50.0 %", "75.0 %", "6 of 8"],
        ["outliers", "position of the outlier", "81.2 %", "75.0 %", "6 of 8"],
    ]


def test_berts_masked_loss_is_drawn_over_the_entropy_of_frequencies(by_name: dict[str, Section]) -> None:
    loss, accuracy = blocks(by_name["bert"], LineChart)
    assert [(line.name, line.dashed) for line in loss.lines] == [
        ("validation", False),
        ("training", True),
        ("unigram entropy", True),
    ]
    assert (loss.x_label, loss.y_label) == ("step", "masked loss (nats)")
    assert [line.name for line in accuracy.lines] == ["validation"]
    tiles = [(tile.label, tile.value, tile.note) for tile in by_name["bert"].highlights]
    assert tiles[0] == ("BERT: masked loss", "4.20", "nats; frequencies alone give 6.20")
    assert tiles[1][:2] == ("BERT: masked accuracy", "32.0 %")


def test_a_loss_that_does_not_compare_with_the_entropy_stands_alone() -> None:
    curves = [{"epoch": 1, "step": 50, "train_masked_loss": 5.0, "validation_masked_loss": 4.9}]
    metrics = {"validation_masked_loss": 4.9, "unigram_entropy": None}
    section = words.describe_bert(metrics, curves)
    assert "decoder" in section.lead
    assert [line.name for line in blocks(section, LineChart)[0].lines] == ["validation", "training"]
    assert section.highlights[0].note == "nats"


@pytest.mark.parametrize(("random", "constant"), [(0.25, "75.0 %"), (0.6, "60.0 %")])
def test_next_sentences_stand_beside_what_a_constant_answer_gives(random: float, constant: str) -> None:
    metrics = {"validation_next_sentence_accuracy": 0.7, "validation_random_next_share": random}
    (tile,) = words.describe_bert(metrics, []).highlights
    note = f"validation documents; always the same answer gives {constant}"
    assert (tile.label, tile.value, tile.note) == ("BERT: next sentence accuracy", "70.0 %", note)


def test_the_sum_of_losses_is_drawn_only_where_it_has_no_parts() -> None:
    rows = [{"epoch": 1, "train_loss": 1.0, "validation_loss": 1.0, "pairs": 7}]
    assert curves.quantities(rows) == ["loss"]
    assert curves.quantities([rows[0] | {"validation_masked_loss": 0.5}]) == ["masked_loss"]


def test_videos_are_counted_by_split_and_class(by_name: dict[str, Section]) -> None:
    splits, classes, *_ = blocks(by_name["videos"], Table)
    assert rows(splits)[2] == ["test", "3", "60.0 s", "375", "16", "35.3 s"]
    assert rows(classes)[0] == ["walk", "5", "2", "3", "10", "3.0 s"]
    assert rows(classes)[2] == ["jump", "0", "0", "0", "0", "–"]
    assert "Every video could be used." in texts(by_name["videos"])


def test_videos_that_were_set_aside_are_listed(run: SimpleNamespace) -> None:
    aside = pl.DataFrame({"path": ["train/bad.mp4"], "reason": ["It has no video stream."]})
    section = frames.describe_videos(
        run.video_manifest, aside, run.action_instances, run.class_names, run.video_metrics
    )
    assert ["train/bad.mp4", "It has no video stream."] in [
        row for t in blocks(section, Table) for row in rows(t)
    ]


def test_videos_that_are_odd_are_listed_with_what_is_odd(run: SimpleNamespace) -> None:
    problems = [["no duration in the header", "starts at 1.40 s; times count from there"]]
    problems += [[]] * (len(run.video_manifest) - 1)
    manifest = run.video_manifest.with_columns(problems=pl.Series(problems, dtype=pl.List(pl.String)))
    section = frames.describe_videos(
        manifest, run.set_aside_videos, run.action_instances, run.class_names, run.video_metrics
    )
    (odd,) = [t for t in blocks(section, Table) if t.caption == "Videos that are odd, but were used:"]
    first = manifest["video"][0]
    assert rows(odd) == [
        [first, "no duration in the header"],
        [first, "starts at 1.40 s; times count from there"],
    ]


def test_actions_that_label_no_step_are_counted(run: SimpleNamespace) -> None:
    metrics = run.video_metrics | {"actions_without_step": 3}
    section = frames.describe_videos(
        run.video_manifest, run.set_aside_videos, run.action_instances, run.class_names, metrics
    )
    assert "3 actions are too short to label a step" in texts(section)


def test_detectors_are_compared_with_one_frame_alone(by_name: dict[str, Section]) -> None:
    (chart,) = blocks(by_name["detectors"], BarChart)
    assert [bar.text for bar in chart.bars] == [
        "31.0 %",
        "40.0 %  (+9.0)",
        "49.0 %  (+18.0)",
        "58.0 %  (+27.0)",
    ]
    table = blocks(by_name["detectors"], Table)[0]
    assert table.columns == ("test videos", "frame only", "rnn", "trn", "oadtr")
    assert ["gain over frame only", "", "+9.0", "+18.0", "+27.0"] in rows(table)
    assert ["calibrated gain over frame only", "", "+7.0", "+14.0", "+21.0"] in rows(table)
    assert [cell.strong for cell in table.rows[0]] == [False, False, False, False, True]
    assert [tile.value for tile in by_name["detectors"].highlights] == ["58.0 %", "3 of 3"]


def test_detectors_that_lose_to_one_frame_are_counted_honestly(run: SimpleNamespace) -> None:
    metrics = {
        name: {"test": {"mean_average_precision": value}}
        for name, value in (("frame_only", 0.5), ("rnn", 0.4), ("trn", 0.52), ("oadtr", 0.1))
    }
    section = frames.describe_detectors(metrics, run.per_class_table, run.training_curves, {})
    assert [tile.value for tile in section.highlights] == ["52.0 %", "1 of 3"]
    (chart,) = blocks(section, BarChart)
    assert chart.bars[1].text == "40.0 %  (−10.0)"


def test_without_test_videos_the_validation_videos_are_shown(run: SimpleNamespace) -> None:
    metrics = {name: {"val": splits["val"]} for name, splits in run.detection_metrics.items()}
    section = frames.describe_detectors(metrics, run.per_class_table, run.training_curves, {})
    assert "validation videos" in blocks(section, BarChart)[0].caption
    ahead = run.anticipation_table.filter(pl.col("split") == "val")
    assert "validation videos" in blocks(frames.describe_anticipation(ahead, metrics), LineChart)[0].y_label


def test_classes_have_a_column_per_detector_and_the_best_is_strong(by_name: dict[str, Section]) -> None:
    table = blocks(by_name["detectors"], Table)[1]
    assert table.columns == ("class", "steps", "frame only", "rnn", "trn", "oadtr")
    assert [row[0].text for row in table.rows] == ["walk", "kick", "jump", "cart wheel", "crawl", "back flip"]
    for row in table.rows:
        shares = [cell.share for cell in row[2:]]
        if row[0].text == "jump":
            assert [cell.text for cell in row[1:]] == ["0", "–", "–", "–", "–"]
            assert not any(cell.strong for cell in row)
        else:
            assert [cell.strong for cell in row[2:]] == [share == max(shares) for share in shares]


def test_training_is_drawn_for_all_detectors(by_name: dict[str, Section]) -> None:
    validation, loss = blocks(by_name["detectors"], LineChart)
    assert [line.name for line in validation.lines] == ["frame only", "rnn", "trn", "oadtr"]
    assert len(loss.lines) == 4


def test_whole_actions_are_drawn_for_all_detectors_and_what_is_not_measured_is_left_out(
    by_name: dict[str, Section],
) -> None:
    charts = blocks(by_name["segments"], LineChart)
    assert [chart.x_label for chart in charts] == [
        "temporal IoU",
        "IoU",
        "part of the action that has passed",
    ]
    for chart in charts:
        assert [line.name for line in chart.lines] == ["frame only", "rnn", "trn", "oadtr"]


def test_anticipation_is_drawn_beside_persistence_and_the_baseline(by_name: dict[str, Section]) -> None:
    (chart,) = blocks(by_name["anticipation"], LineChart)
    assert [(line.name, line.colour, line.dashed) for line in chart.lines] == [
        ("frame only, what is now goes on", 0, True),
        ("trn", 2, False),
        ("trn, what is now goes on", 2, True),
        ("oadtr", 3, False),
        ("oadtr, what is now goes on", 3, True),
    ]


def test_detectors_that_do_not_look_ahead_leave_a_word(run: SimpleNamespace) -> None:
    section = frames.describe_anticipation(run.anticipation_table.clear(), run.detection_metrics)
    assert texts(section) == "No detector looks ahead."


def test_a_broken_contract_comes_first_with_its_examples(by_name: dict[str, Section]) -> None:
    section = by_name["checks"]
    failed, datasets, *_ = blocks(section, Table)
    assert failed.caption == "scores"
    assert rows(failed) == [["id", "be unique", "3", "a, b"]]
    assert rows(datasets)[0][:2] == ["scores", "failed"]
    assert rows(datasets)[1] == ["documents", "passed", "3 of 3", "500 of 1,640", "load"]
    assert section.highlights[0].value == "8 of 9"


def test_a_run_without_checks_says_so() -> None:
    section = checks.describe_checks([])
    assert "No dataset was checked" in section.lead
    assert section.highlights == ()
