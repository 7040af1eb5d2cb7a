"""Files of all kinds become examples, and a file that is wrong is named with the place."""

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.text.downstream.config import ColumnNames, Kind, SplitFiles, TaskConfig
from prolepsis.text.downstream.readers import read_file, read_task

ONE, PAIR, TAGS, QUESTIONS = (
    "sequence_classification",
    "sequence_pair_classification",
    "token_tagging",
    "question_answering",
)
SENTENCE = """# text = Don't go
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVB\t_\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_
3\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\t_
3.1\tgone\tgo\tVERB\tVB\t_\t_\t_\t_\t_

"""


def read(path: Path, kind: Kind, **columns: str) -> list[Any]:
    return read_file(path, kind, SplitFiles(path=path, columns=ColumnNames(**columns)))


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_tsv_file_has_no_quoting_and_its_labels_are_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", 'label\tsentence\n1\tan "open quotation\n0\tplain\n')
    examples = read(path, ONE, text="sentence")
    assert [(one.text, one.labels) for one in examples] == [('an "open quotation', ("1",)), ("plain", ("0",))]
    assert examples[1].source == f"{path}, row 3"


def test_a_csv_file_has_quoting(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\n"one, two",x\n')
    assert read(path, ONE)[0].text == "one, two"


def test_parquet_and_json_lines_hold_pairs_and_words(tmp_path: Path) -> None:
    frame = pl.DataFrame({"premise": ["a"], "hypothesis": ["b"], "label": [2]})
    frame.write_parquet(tmp_path / "a.parquet")
    (pair,) = read(tmp_path / "a.parquet", PAIR, text="premise", second_text="hypothesis")
    assert (pair.text, pair.second_text, pair.labels) == ("a", "b", ("2",))
    path = write(tmp_path / "a.jsonl", '{"words": ["big", "dog"], "labels": ["ADJ", "NOUN"]}\n')
    (tagged,) = read(path, TAGS)
    assert (tagged.words, tagged.labels) == (("big", "dog"), ("ADJ", "NOUN"))


def test_conllu_gives_the_words_that_are_tagged(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conllu", SENTENCE * 2)
    first, second = read(path, TAGS)
    assert first.words == ("Do", "n't", "go")
    assert first.labels == ("AUX", "PART", "VERB")
    assert second.source == f"{path}, line 10"
    assert read(path, TAGS, labels="xpos")[0].labels == ("VB", "RB", "VB")


@pytest.mark.parametrize(
    ("name", "text"), [("a.conllu", SENTENCE), ("a.tsv", "Do\tAUX\nn't\tPART\ngo\tVERB\n")]
)
def test_a_byte_order_mark_is_no_part_of_a_word(tmp_path: Path, name: str, text: str) -> None:
    assert read(write(tmp_path / name, f"\ufeff{text}"), TAGS)[0].words == ("Do", "n't", "go")


def test_a_word_may_hold_what_elsewhere_ends_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conllu", SENTENCE.replace("3\tgo\t", "3\tg\u2028o\t"))
    assert read(path, TAGS)[0].words == ("Do", "n't", "g\u2028o")


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("2\tn't", "2 n't", 4, "has 9 fields between tabs, not 10"),
        ("2\tn't", "4\tn't", 4, "number is '4'; 2 was expected"),
        ("2\tn't", "x\tn't", 4, "number is 'x'; 2 was expected"),
        ("\tPART", "\t_", 4, "no upos tag"),
    ],
)
def test_a_malformed_conllu_line_is_named_by_its_number(
    tmp_path: Path, old: str, new: str, line: int, message: str
) -> None:
    path = write(tmp_path / "a.conllu", SENTENCE.replace(old, new))
    with pytest.raises(ProlepsisError, match=message) as refusal:
        read(path, TAGS)
    assert refusal.value.where == f"{path}, line {line}"


def squad(start: int = 12, answer: str = "Seine", **more: Any) -> str:
    question = {"id": "q1", "question": "Which river?", **more}
    question.setdefault("answers", [{"text": answer, "answer_start": start}])
    paragraph = {"context": "Paris is at Seine and Marne.", "qas": [question]}
    return json.dumps({"version": "1.1", "data": [{"title": "Paris", "paragraphs": [paragraph]}]})


def test_squad_gives_paragraph_question_and_answers(tmp_path: Path) -> None:
    (one,) = read(write(tmp_path / "a.json", squad()), QUESTIONS)
    assert one.text[one.answer_starts[0] :].startswith("Seine")
    assert (one.second_text, one.labels) == ("Which river?", ("Seine",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (squad(start=11), "The answer 'Seine' does not stand at character 11"),
        (squad(answer="Rhine"), "The answer 'Rhine' does not stand"),
        (squad(answers=[]), "has no answer"),
        (squad(is_impossible=True), "has no answer"),
        ('{"data": [{"paragraphs": [{}]}]}', "not JSON of SQuAD's form"),
        (squad(question=None), "not JSON of SQuAD's form"),
        ("[1, 2", "not JSON of SQuAD's form"),
    ],
)
def test_a_question_without_its_answer_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "a.json", text)
    with pytest.raises(ProlepsisError, match=message) as refusal:
        read(path, QUESTIONS)
    assert str(path) in str(refusal.value.where)


CONTEXT = "Paris is at Seine and Marne."


def questions_table(path: Path, **changes: Any) -> Path:
    row = {
        "context": CONTEXT,
        "question": "Which river?",
        "answers": ["Seine", "Marne"],
        "answer_starts": [12, 22],
    }
    pl.DataFrame({name: [value] for name, value in (row | changes).items()}).write_parquet(path)
    return path


def test_parquet_holds_questions_with_all_their_answers(tmp_path: Path) -> None:
    (one,) = read(questions_table(tmp_path / "a.parquet"), QUESTIONS)
    assert (one.text, one.second_text) == (CONTEXT, "Which river?")
    assert (one.labels, one.answer_starts) == (("Seine", "Marne"), (12, 22))
    assert one.source == f"{tmp_path / 'a.parquet'}, row 1"
    named = questions_table(tmp_path / "b.parquet").rename(tmp_path / "c.parquet")
    pl.read_parquet(named).rename({"context": "passage", "answers": "said"}).write_parquet(named)
    assert read(named, QUESTIONS, context="passage", answers="said")[0].labels == ("Seine", "Marne")


def test_a_paragraph_counts_in_characters_not_bytes(tmp_path: Path) -> None:
    path = questions_table(
        tmp_path / "a.parquet", context="Où? À Orléans.", answers=["Orléans"], answer_starts=[6]
    )
    assert read(path, QUESTIONS)[0].answer_starts == (6,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answers": [], "answer_starts": []}, "has no answer"),
        ({"answers": None}, "0 answers, and 2 numbers"),
        ({"answer_starts": [12]}, "2 answers, and 1 numbers"),
        ({"answer_starts": [12, None]}, "give each answer a whole number"),
        ({"answers": ["Seine", None]}, "give each answer a whole number"),
        ({"answer_starts": [12, 21]}, "'Marne' does not stand at character 21 .* there is ' Marn'"),
        ({"answer_starts": [12, -6]}, "'Marne' does not stand at character -6"),
        ({"answers": "Seine"}, "'answers' does not hold lists"),
    ],
)
def test_a_row_without_its_answers_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = questions_table(tmp_path / "a.parquet", **changes)
    if changes.get("answers", "") is None:
        frame = pl.read_parquet(path).with_columns(pl.col("answers").cast(pl.List(pl.String)))
        frame.write_parquet(path)
    with pytest.raises(ProlepsisError) as refusal:
        read(path, QUESTIONS)
    assert re.search(message, f"{refusal.value}")
    assert str(path) in str(refusal.value.where)


def test_a_tsv_file_of_tagged_words_has_sentences_between_empty_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", '\nIt\tPRON\n"\tPUNCT\n\n\nsnows\tVERB\r\n')
    first, second = read(path, TAGS)
    assert (first.words, first.labels) == (("It", '"'), ("PRON", "PUNCT"))
    assert (second.words, second.labels) == (("snows",), ("VERB",))
    assert (first.source, second.source) == (f"{path}, line 2", f"{path}, line 6")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("snows VERB", "has 1 fields between tabs, not 2"),
        ("snows\tVERB\tVBZ", "has 3 fields between tabs, not 2"),
        ("\tVERB", "no word, or no tag"),
        ("snows\t", "no word, or no tag"),
    ],
)
def test_a_malformed_tagged_line_is_named_by_its_number(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "a.tsv", f"It\tPRON\n{line}\n")
    with pytest.raises(ProlepsisError, match=message) as refusal:
        read(path, TAGS)
    assert refusal.value.where == f"{path}, line 2"


def test_rte_of_all_years_is_read_with_one_pair_of_labels(tmp_path: Path) -> None:
    old = '<pair id="1" value="TRUE"><t>It rains.</t><h>It is wet.</h></pair>'
    new = '<pair id="2" entailment="NO"><t> It rains. </t><h>It is dry.</h></pair>'
    path = write(tmp_path / "a.xml", f"<entailment-corpus>{old}{new}</entailment-corpus>")
    first, second = read(path, PAIR)
    assert (first.text, first.second_text, first.labels) == ("It rains.", "It is wet.", ("entailment",))
    assert (second.text, second.labels) == ("It rains.", ("not_entailment",))
    for broken, message in (
        (new.replace("NO", "MAYBE"), "judged 'MAYBE'"),
        (new.replace("<h>It is dry.</h>", ""), "no text or hypothesis"),
    ):
        path = write(tmp_path / "b.xml", f"<entailment-corpus>{broken}</entailment-corpus>")
        with pytest.raises(ProlepsisError, match=message):
            read(path, PAIR)
    with pytest.raises(ProlepsisError, match="not XML"):
        read(write(tmp_path / "c.xml", "<a><b></a>"), PAIR)


@pytest.mark.parametrize(
    ("name", "text", "kind", "message"),
    [
        ("a.tsv", "label\ttext\n1\tx\n", PAIR, "no column 'second_text'; it has 'label', 'text'"),
        ("a.jsonl", '{"text": "x", "label": null}\n', ONE, "no label"),
        ("a.jsonl", '{"text": ', ONE, "cannot be read as jsonl"),
        ("a.parquet", "no parquet", ONE, "cannot be read as parquet"),
        ("a.jsonl", '{"words": "big dog", "labels": ["ADJ", "NOUN"]}\n', TAGS, "'words' does not hold lists"),
        ("a.csv", "words,labels\n", TAGS, "rows of a csv file hold no lists, which token_tagging needs"),
        ("a.tsv", "context\tanswers\n", QUESTIONS, "rows of a tsv file hold no lists"),
        ("a.tsv", "words\tlabels\nbig\tADJ\n", TAGS, "begins with the names of its columns"),
        ("a.conllu", SENTENCE, ONE, "holds examples of token_tagging, not of sequence_classification"),
        ("a.doc", "x", ONE, "called \\*.doc is not known"),
    ],
)
def test_a_file_that_does_not_hold_the_task_is_refused(
    tmp_path: Path, name: str, text: str, kind: Kind, message: str
) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(ProlepsisError, match=message) as refusal:
        read(path, kind)
    assert str(path) in str(refusal.value.where)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProlepsisError, match="no such file"):
        read(tmp_path / "none.tsv", ONE)


def test_several_files_make_a_split_and_validation_is_set_aside(tmp_path: Path) -> None:
    for name, first in (("a", 0), ("b", 200)):
        rows = "".join(f"text {n}\t{n % 2}\n" for n in range(first, first + 200))
        write(tmp_path / f"{name}.tsv", f"text\tlabel\n{rows}")
    train = SplitFiles.model_validate({"path": [str(tmp_path / "a.tsv"), str(tmp_path / "b.tsv")]})
    test = SplitFiles.model_validate({"path": str(tmp_path / "a.tsv")})
    config = TaskConfig(kind="sequence_classification", train=train, test=test, validation_share=0.25)
    task = read_task("t", config, seed=0)
    sizes = {split: len(examples) for split, examples in task.splits.items()}
    assert sizes["train"] + sizes["validation"] == 400
    assert 70 < sizes["validation"] < 130
    assert sizes["test"] == 200


def test_the_real_files_are_read_whole(shared_data: Path, tmp_path: Path) -> None:
    import zipfile

    text = shared_data / "text"
    sst = {part: text / f"sst2_{part}.tsv" for part in ("train", "dev", "test")}
    if not sst["train"].is_file():
        pytest.skip("the labelled sets are absent")
    assert len(read(sst["train"], ONE, text="sentence")) == 67_349
    assert [len(read(sst[part], ONE, text="content")) for part in ("dev", "test")] == [872, 1_821]
    words = [read(text / f"en_lines-ud-{part}.conllu", TAGS) for part in ("train", "dev", "test")]
    assert [len(part) for part in words] == [3_457, 1_118, 1_121]
    with zipfile.ZipFile(text / "rte.zip") as archive:
        archive.extractall(tmp_path)
    names = [f"rte{year}_{part}" for year in (1, 2, 3) for part in ("dev", "test")]
    assert [len(read(tmp_path / "rte" / f"{name}.xml", PAIR)) for name in names] == [
        567,
        800,
        400,
        800,
        800,
        800,
    ]
