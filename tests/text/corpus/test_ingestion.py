import gzip
import io
import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from prolepsis.errors import ProlepsisError
from prolepsis.text.corpus import ingestion
from prolepsis.text.corpus.config import IngestionConfig
from prolepsis.text.corpus.ingestion import FILES, IngestedCorpus, ingest_corpus
from prolepsis.text.corpus.ledger import EXAMPLES, WATERFALL, WATERFALL_BY_GROUP
from prolepsis.text.corpus.passes import DOCUMENT_COLUMNS, DROPPED_COLUMNS, run_pass, split_of
from prolepsis.text.corpus.presets import PRESETS
from prolepsis.text.corpus.reading import read_files
from prolepsis.text.corpus.workspace import clear_workspace

QUALITY = {"plugin": "gopher_quality", "config": {"min_words": 3, "min_stop_words": 0}}
DUPLICATES = [{"plugin": "exact_duplicates"}, {"plugin": "near_duplicates"}]


def ingest(folder: Path, *filters: dict[str, Any], **config: Any) -> IngestedCorpus:
    return ingest_corpus(folder, configuration(*filters, **config))


def configuration(*filters: dict[str, Any], **config: Any) -> IngestionConfig:
    return IngestionConfig.model_validate({"filters": list(filters), "num_processes": 1, **config})


def kept(corpus: IngestedCorpus) -> pl.DataFrame:
    return pl.concat(corpus.documents)


def dropped(corpus: IngestedCorpus) -> pl.DataFrame:
    return pl.concat(corpus.dropped)


def write_jsonl(path: Path, *texts: str, **more: Any) -> None:
    path.write_bytes(b"".join(json.dumps({"text": text, **more}).encode() + b"\n" for text in texts))


def test_documents_carry_their_file_their_place_in_it_and_their_size(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write_jsonl(tmp_path / "sub" / "a.jsonl", "Die Größe zählt.", "zwei\r\nZeilen")
    (tmp_path / "b.txt").write_text("A whole file.")

    corpus = ingest(tmp_path)

    frame = kept(corpus)
    assert frame.schema == DOCUMENT_COLUMNS
    assert frame.drop("split").rows(named=True) == [
        {
            "id": "b.txt",
            "text": "A whole file.",
            "language": "und",
            "source": "b.txt",
            "num_characters": 13,
            "num_words": 3,
            "num_bytes": 13,
        },
        {
            "id": "sub/a.jsonl#1",
            "text": "Die Größe zählt.",
            "language": "und",
            "source": "sub/a.jsonl",
            "num_characters": 16,
            "num_words": 3,
            "num_bytes": 19,
        },
        {
            "id": "sub/a.jsonl#2",
            "text": "zwei\nZeilen",
            "language": "und",
            "source": "sub/a.jsonl",
            "num_characters": 11,
            "num_words": 2,
            "num_bytes": 11,
        },
    ]


def test_every_document_is_kept_or_dropped_with_its_reason_and_the_waterfall_adds_up(tmp_path: Path) -> None:
    long = " ".join(f"{a}{b}{a}" for a in "abcdefgh" for b in "ijklmnop")
    write_jsonl(tmp_path / "a.jsonl", "too short", long, "another text of words", "", long, f"{long} more")

    corpus = ingest(tmp_path, QUALITY, *DUPLICATES)

    assert kept(corpus)["id"].to_list() == ["a.jsonl#2", "a.jsonl#3"]
    assert dropped(corpus).schema == DROPPED_COLUMNS
    assert dropped(corpus).select("id", "filter", "reason").rows() == [
        ("a.jsonl#4", "reading", "empty"),
        ("a.jsonl#1", "gopher_quality", "gopher_short_doc"),
        ("a.jsonl#5", "exact_duplicates", "exact_duplicate"),
        ("a.jsonl#6", "near_duplicates", "near_duplicate"),
    ]
    assert corpus.waterfall.select("step", "filter", "documents_before", "documents_after").rows() == [
        (0, "reading", 6, 5),
        (1, "gopher_quality", 5, 4),
        (2, "exact_duplicates", 4, 3),
        (3, "near_duplicates", 3, 2),
    ]
    assert corpus.waterfall["bytes_after"][:-1].to_list() == corpus.waterfall["bytes_before"][1:].to_list()
    assert corpus.waterfall["bytes_after"][-1] == kept(corpus)["num_bytes"].sum()
    assert corpus.metrics == {
        "files": {"read": 1, "set_aside": 0, "replaced_bytes": 0},
        "documents": {"read": 6, "kept": 2},
        "bytes": {"read": corpus.waterfall["bytes_before"][0], "kept": corpus.waterfall["bytes_after"][-1]},
        "dropped": {
            "reading": {"empty": 1},
            "gopher_quality": {"gopher_short_doc": 1},
            "exact_duplicates": {"exact_duplicate": 1},
            "near_duplicates": {"near_duplicate": 1},
        },
        "languages": {"und": 2},
        "splits": {
            "train": kept(corpus).filter(split="train").height,
            "val": kept(corpus).filter(split="val").height,
        },
    }


def test_filters_apply_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", "two words", "two words", "three words here")

    corpus = ingest(tmp_path, {"plugin": "exact_duplicates"}, QUALITY)

    assert dropped(corpus)["filter"].to_list() == ["exact_duplicates", "gopher_quality"]
    assert corpus.waterfall["filter"].to_list() == ["reading", "exact_duplicates", "gopher_quality"]


def test_a_filter_may_be_used_twice(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", "three words here")

    corpus = ingest(tmp_path, QUALITY, QUALITY)

    assert corpus.waterfall["filter"].to_list() == ["reading", "gopher_quality", "gopher_quality (2)"]


def test_results_may_be_read_more_than_once_and_come_in_shards(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", *(f"{n} " + "word " * 200 for n in range(5000)))

    corpus = ingest(tmp_path, shard_megabytes=2)

    shards = list(corpus.documents)
    assert [shard["text"].str.len_bytes().sum() >= 2_000_000 for shard in shards] == [True] * (
        len(shards) - 1
    ) + [False]
    assert len(shards) > 1
    assert pl.concat(shards).equals(kept(corpus))
    assert dropped(corpus).height == 0  # one empty shard, so that the columns are known


def test_the_result_does_not_depend_on_how_it_was_batched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(0)
    texts = [" ".join(draw.choice("abcdefgh") * 3 for _ in range(40)) for _ in range(60)]
    texts += [f"{text} end" for text in texts[:20]] + texts[:20]
    draw.shuffle(texts)
    write_jsonl(tmp_path / "a.jsonl", *texts[:50])
    write_jsonl(tmp_path / "b.jsonl", *texts[50:])
    together = ingest(tmp_path, *DUPLICATES)

    monkeypatch.setattr("prolepsis.text.corpus.parts.MAX_PART_ROWS", 3)
    monkeypatch.setattr("prolepsis.text.corpus.readers.base.BATCH_DOCUMENTS", 7)
    monkeypatch.setattr("prolepsis.text.corpus.reading.SHARD_BYTES", 2000)
    apart = ingest(tmp_path, *DUPLICATES)

    assert kept(together).height == 60
    assert kept(together).equals(kept(apart))
    assert dropped(together).sort("id").equals(dropped(apart).sort("id"))


# --- shards of work


def corpus_of_shards(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five files, of which the first two are read together, as a dozen shards, with duplicates."""
    monkeypatch.setattr("prolepsis.text.corpus.reading.SHARD_BYTES", 3000)
    monkeypatch.setattr("prolepsis.text.corpus.readers.base.BATCH_DOCUMENTS", 4)
    draw = random.Random(0)
    texts = [" ".join(draw.choice("abcdefgh") * 3 for _ in range(60)) for _ in range(60)]
    texts += [f"{text} end" for text in texts[:20]] + texts[:20]
    draw.shuffle(texts)
    folder.mkdir()
    for start, end in ((0, 2), (2, 4), (4, 40), (40, 70), (70, 100)):
        write_jsonl(folder / f"{start:03}.jsonl", *texts[start:end])
    return folder


def bytes_of(corpus: IngestedCorpus) -> list[bytes]:
    frames = [*corpus.documents, *corpus.dropped, corpus.waterfall, corpus.waterfall_by_group]
    frames += [corpus.examples, corpus.files, corpus.set_aside]
    return [as_parquet(frame) for frame in frames] + [json.dumps(corpus.metrics).encode()]


def as_parquet(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def count_work(monkeypatch: pytest.MonkeyPatch, most: int) -> list[Path]:
    """The folders of the work that is done from now on; a run stops where it would do more."""
    done: list[Path] = []

    def counting(work: Callable[[Any], int], folder: Callable[[Any], Path]) -> Callable[[Any], int]:
        def call(task: Any) -> int:
            if not folder(task).is_dir():
                if len(done) == most:
                    raise KeyboardInterrupt
                done.append(folder(task))
            return work(task)

        return call

    monkeypatch.setattr(ingestion, "read_files", counting(read_files, lambda task: task.directory))
    monkeypatch.setattr(ingestion, "run_pass", counting(run_pass, lambda task: task.target))
    return done


def test_stopped_at_any_shard_a_run_goes_on_there_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = corpus_of_shards(tmp_path / "corpus", monkeypatch)
    filters = [QUALITY, *DUPLICATES]
    all_work = count_work(monkeypatch, 10**6)
    expected = bytes_of(ingest(folder, *filters))
    assert len(all_work) > 25

    for stop in range(0, len(all_work), 4):
        checkpoints = tmp_path / f"checkpoints-{stop}"
        before = count_work(monkeypatch, stop)
        with pytest.raises(KeyboardInterrupt):
            ingest(folder, *filters, checkpoint_directory=checkpoints)
        after = count_work(monkeypatch, 10**6)
        assert bytes_of(ingest(folder, *filters, checkpoint_directory=checkpoints)) == expected
        assert len(before) == stop
        assert len({*before, *after}) == len(before) + len(after) == len(all_work)


def test_a_run_that_was_killed_within_a_shard_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = corpus_of_shards(tmp_path / "corpus", monkeypatch)
    filters = [QUALITY, *DUPLICATES]
    checkpoints = tmp_path / "checkpoints"
    config = configuration(*filters, checkpoint_directory=checkpoints)
    script = f"""
import os, signal
from pathlib import Path
from prolepsis.text.corpus import passes, reading
from prolepsis.text.corpus.config import IngestionConfig
from prolepsis.text.corpus.ingestion import ingest_corpus
from prolepsis.text.corpus.readers import base
reading.SHARD_BYTES, base.BATCH_DOCUMENTS = 3000, 4
observe = passes._ShardInPass._judge
def kill(self, batch):
    if self._task.number == 1 and "000001" in self._task.target.name:
        os.kill(os.getpid(), signal.SIGKILL)
    return observe(self, batch)
passes._ShardInPass._judge = kill
ingest_corpus(Path({str(folder)!r}), IngestionConfig.model_validate_json({config.model_dump_json()!r}))
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [*checkpoints.glob("corpus-*/pass-1/.*.partial")]

    resumed = ingest(folder, *filters, checkpoint_directory=checkpoints)

    assert not [*checkpoints.rglob("*.partial")]
    assert bytes_of(resumed) == bytes_of(ingest(folder, *filters))


def test_work_by_another_evaluation_set_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = corpus_of_shards(tmp_path / "corpus", monkeypatch)
    questions, checkpoints = tmp_path / "questions.txt", tmp_path / "checkpoints"
    choice = {"plugin": "decontamination", "config": {"files": [str(questions)], "builtin": False}}
    work = []
    for text in ("one two three", "four five six", "four five six"):
        questions.write_text(text * 5)
        done = count_work(monkeypatch, 10**6)
        ingest(folder, choice, checkpoint_directory=checkpoints)
        work.append(len(done))
    assert work[0] == work[1] > 0
    assert work[2] == 0


def test_only_the_work_of_the_ingestion_is_ever_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = corpus_of_shards(tmp_path / "corpus", monkeypatch)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("mine")

    ingest(folder, checkpoint_directory=mine)
    ingest(folder, QUALITY, checkpoint_directory=mine)

    assert len([*mine.glob("corpus-*")]) == 1  # that of the first configuration is stale
    clear_workspace(mine)
    assert [path.name for path in mine.iterdir()] == ["thesis.tex"]


def test_work_inside_the_corpus_is_refused(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", "text")

    with pytest.raises(ProlepsisError, match="inside the corpus"):
        ingest(tmp_path, checkpoint_directory=tmp_path / "work")


def test_a_second_run_at_the_same_time_is_refused(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    write_jsonl(tmp_path / "corpus" / "a.jsonl", "text")
    work = tmp_path / "work"
    script = f"""
import sys
from filelock import FileLock
with FileLock({str(work / ".corpus.lock")!r}):
    print("locked", flush=True)
    sys.stdin.read()
"""
    work.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(ProlepsisError, match="Another run is making a corpus here"):
            ingest(tmp_path / "corpus", checkpoint_directory=work)
        other.communicate()
    assert kept(ingest(tmp_path / "corpus", checkpoint_directory=work)).height == 1


@pytest.mark.parametrize(
    "damage",
    [
        "read/*/record.json",
        "read/*/refused/*.arrow",
        "pass-0/*/observed/*.arrow",
        "pass-0/*/ledger.arrow",
        "pass-1/*/kept/*.arrow",
        "pass-1/*/dropped/*.arrow",
        "pass-1/*/examples.arrow",
    ],
)
@pytest.mark.parametrize("how", ["gone", "cut"])
def test_damaged_work_of_an_earlier_run_is_named_or_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str, how: str
) -> None:
    folder = corpus_of_shards(tmp_path / "corpus", monkeypatch)
    filters = [{"plugin": "exact_duplicates"}]
    work = tmp_path / "work"
    expected = bytes_of(ingest(folder, *filters, checkpoint_directory=work))
    (workspace,) = work.glob("corpus-*")
    file = min(workspace.glob(damage))
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-20])

    try:
        again = bytes_of(ingest(folder, *filters, checkpoint_directory=work))
    except ProlepsisError as error:
        assert "damaged" in str(error)
        assert str(workspace) in str(error)
    else:
        assert again == expected


@pytest.mark.parametrize("change", ["file", "config"])
def test_what_was_made_of_other_files_or_by_another_configuration_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    folder = corpus_of_shards(tmp_path / "corpus", monkeypatch)
    checkpoints = tmp_path / "checkpoints"
    ingest(folder, checkpoint_directory=checkpoints)
    filters = []
    if change == "file":
        write_jsonl(folder / "000.jsonl", "another text")
    else:
        filters = [QUALITY]

    corpus = ingest(folder, *filters, checkpoint_directory=checkpoints)

    assert bytes_of(corpus) == bytes_of(ingest(folder, *filters))


def test_several_processes_make_the_same_corpus_as_one(tmp_path: Path) -> None:
    draw = random.Random(0)
    for file in range(3):  # each larger than half a shard, so that each is read alone
        texts = [" ".join(draw.choice("abcdefgh") * 3 for _ in range(1000)) for _ in range(1200)]
        write_jsonl(tmp_path / f"{file}.jsonl", *texts, *texts[:100])

    alone = ingest(tmp_path, *DUPLICATES)
    shared = ingest(tmp_path, *DUPLICATES, num_processes=2)

    assert alone.metrics["dropped"] == {"exact_duplicates": {"exact_duplicate": 300}}
    assert bytes_of(shared) == bytes_of(alone)


def test_an_error_in_another_process_comes_through(tmp_path: Path) -> None:
    for file in range(3):
        write_jsonl(tmp_path / f"{file}.jsonl", *["word " * 2000] * 500)
    gone = {"plugin": "decontamination", "config": {"files": [str(tmp_path / "gone.txt")]}}

    with pytest.raises(ProlepsisError, match=r"gone\.txt"):
        ingest(tmp_path, gone, num_processes=2)


# --- what is reported


def test_the_waterfall_of_languages_and_of_sources_adds_up_to_the_whole(tmp_path: Path) -> None:
    english = "The river that runs through the town comes from the hills of the north."
    french = "La rivière qui traverse la ville descend des collines et la pluie la fait monter."
    write_jsonl(tmp_path / "a.jsonl", english, french, french, "")
    write_jsonl(tmp_path / "b.jsonl", english, "Two more words in the list of the town and of its hills.")

    corpus = ingest(tmp_path, {"plugin": "language"}, {"plugin": "exact_duplicates"})

    assert corpus.waterfall.schema == WATERFALL
    assert corpus.waterfall_by_group.schema == WATERFALL_BY_GROUP
    for by in ("language", "source"):
        part = corpus.waterfall_by_group.filter(by=by).drop("by", "group")
        total = part.group_by("step", "filter").sum().sort("step")
        assert total.select(WATERFALL.keys()).equals(corpus.waterfall)
    last = corpus.waterfall_by_group.filter(step=2).select("group", "documents_before", "documents_after")
    assert last.rows() == [("en", 3, 2), ("fr", 2, 1), ("a.jsonl", 3, 2), ("b.jsonl", 2, 1)]


def test_many_files_are_counted_by_their_folders(tmp_path: Path) -> None:
    for folder in ("books", "news"):
        (tmp_path / folder).mkdir()
        for number in range(30):
            (tmp_path / folder / f"{number}.txt").write_text(f"{folder} {number}")
    (tmp_path / "rest.txt").write_text("one more")

    sources = ingest(tmp_path).waterfall_by_group.filter(by="source")

    assert sources.select("group", "documents_after").rows() == [("*.txt", 1), ("books/", 30), ("news/", 30)]


def test_each_reason_has_a_few_examples_and_always_the_same(tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "a.jsonl",
        *("two " + "word" * (n // 20) + str(n) for n in range(60)),
        "",
        "long enough to be kept",
    )

    first, again = (ingest(tmp_path, QUALITY).examples for _ in range(2))

    assert first.schema == EXAMPLES
    assert first.equals(again)
    counts = first.group_by("filter", "reason").len().sort("filter").rows()
    assert counts == [("gopher_quality", "gopher_short_doc", 5), ("reading", "empty", 1)]
    assert first["excerpt"].str.len_chars().max() <= 400
    assert first.filter(reason="gopher_short_doc")["score"].is_not_null().all()


def test_files_are_listed_with_their_encoding_and_what_could_not_be_decoded(tmp_path: Path) -> None:
    words = "Größe und Maß, Übung und Täuschung, schön wären die Bücher über süße Äpfel. "
    (tmp_path / "latin1.txt").write_bytes((words * 20).encode("latin-1"))
    (tmp_path / "damaged.txt").write_bytes((words * 20).encode() + b"\xff")
    (tmp_path / "utf16.txt").write_text(words, encoding="utf-16")

    files = ingest(tmp_path).files

    assert files.schema == FILES
    assert files.select("file", "encoding", "replaced_bytes", "documents").rows() == [
        ("damaged.txt", "utf-8", 1, 1),
        ("latin1.txt", "cp1252", 0, 1),
        ("utf16.txt", "utf-16-le", 0, 1),
    ]


def test_only_the_files_that_were_asked_for_are_read(tmp_path: Path) -> None:
    for name in ("a/one.txt", "a/two.txt", "b/one.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)

    corpus = ingest(tmp_path, include=["a/*"], exclude=["**/two.*"])

    assert kept(corpus)["text"].to_list() == ["a/one.txt"]
    assert corpus.set_aside.height == 0


def test_a_filter_that_finds_nothing_to_observe_drops_nothing(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", "...", "!!! ???")

    corpus = ingest(tmp_path, {"plugin": "near_duplicates"}, {"plugin": "paragraph_duplicates"})

    assert kept(corpus).height == 2


def test_patterns_that_leave_no_file_are_named(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", "text")

    with pytest.raises(ProlepsisError, match="no file that a reader takes") as error:
        ingest(tmp_path, include=["*.nope"])

    assert "*.nope" in str(error.value)


def test_a_link_to_itself_is_passed_over(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", "text")
    (tmp_path / "self.txt").symlink_to(tmp_path / "self.txt")

    assert ingest(tmp_path).set_aside.rows() == [("self.txt", "It is a link that leads back to itself.")]


# --- presets


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_is_a_list_of_filters_under_a_name(name: str) -> None:
    preset = IngestionConfig.model_validate({"filters": name})

    assert preset == IngestionConfig.model_validate({"filters": PRESETS[name]})
    assert len(preset.filters) > 3


def test_fineweb_is_its_published_order_with_the_published_thresholds() -> None:
    filters = IngestionConfig.model_validate({"filters": "fineweb"}).filters

    # datatrove's examples/fineweb.py; exact duplicates are a cheap first step of near ones.
    assert [choice.plugin for choice in filters] == [
        *("language", "gopher_repetition", "gopher_quality", "c4", "fineweb"),
        *("exact_duplicates", "near_duplicates", "pii"),
    ]
    changed = {choice.plugin: choice.config for choice in filters if choice.config}
    assert changed == {"c4": {"require_sentence_end": False}}


def test_chinese_prose_passes_the_filters_of_fineweb(tmp_path: Path) -> None:
    line = "今天天气很好，我和朋友们一起去公园散步。我们看见许多孩子在湖边放风筝，老人们在树下下棋。"
    other = "晚上我们在一家小饭馆吃饭，老板给我们讲了这座城市的历史。回家的路上下起了小雨，大家都很高兴。"
    write_jsonl(
        tmp_path / "a.jsonl",
        "\n".join([line, other, "明天我想去图书馆借几本关于中国历史的书，然后回家写作业。"]),
    )

    assert kept(ingest(tmp_path, *PRESETS["fineweb"]))["language"].to_list() == ["zh"]


def test_an_unknown_preset_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValidationError, match="there is no preset 'fine_web'; there are books, fineweb"):
        IngestionConfig.model_validate({"filters": "fine_web"})


# --- the split


@given(st.text(max_size=30), st.floats(0, 0.5))
def test_a_larger_validation_share_only_adds_to_the_validation_split(text: str, share: float) -> None:
    if split_of(text, share) == "val":
        assert split_of(text, share * 1.5) == "val"
    assert split_of(text, 0.0) == "train"


def test_the_split_of_a_text_is_the_same_for_ever() -> None:
    assert [split_of(text, 0.5) for text in ("a", "b", "c", "d", "e", "f")] == [
        "train",
        "train",
        "train",
        "val",
        "train",
        "val",
    ]


def test_the_split_follows_the_text_and_not_the_file(tmp_path: Path) -> None:
    texts = [f"text number {n}" for n in range(400)]
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    write_jsonl(folders[0] / "a.jsonl", *texts)
    write_jsonl(folders[1] / "z.jsonl", *reversed(texts))

    one, two = (kept(ingest(folder, validation_share=0.2)) for folder in folders)

    assert dict(one.select("text", "split").iter_rows()) == dict(two.select("text", "split").iter_rows())
    assert 0.14 < (one["split"] == "val").mean() < 0.26


# --- what goes wrong


def test_bad_files_are_set_aside_with_the_place_and_the_run_goes_on(tmp_path: Path) -> None:
    for number in range(20):
        write_jsonl(tmp_path / f"good{number:02}.jsonl", f"text {number}")
    (tmp_path / "latin1.txt").write_bytes("Größe".encode("latin-1"))
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"text": "x"}\n' * 1000)[:-20])
    (tmp_path / "array.jsonl").write_text('{"text": "fine"}\n[1]\n')
    (tmp_path / "not.parquet").write_text("PAR2" * 10)
    (tmp_path / "image.png").write_bytes(b"\x89PNG")

    corpus = ingest(tmp_path, decoding={"encoding": "utf-8", "max_replaced_share": 0})

    assert kept(corpus).height == 20
    reasons = dict(corpus.set_aside.rows())
    assert list(reasons) == ["array.jsonl", "cut.jsonl.gz", "image.png", "latin1.txt", "not.parquet"]
    assert reasons["latin1.txt"] == "It is not UTF-8: invalid start byte, 0xf6 at byte 2."
    assert "end-of-stream" in reasons["cut.jsonl.gz"]
    assert reasons["array.jsonl"] == "Line 2 is a JSON array, not an object."
    assert "magic bytes" in reasons["not.parquet"]
    assert reasons["image.png"] == "No reader takes files that end in '.png'."
    assert corpus.metrics["files"] == {"read": 20, "set_aside": 5, "replaced_bytes": 0}


def test_nothing_of_a_file_that_breaks_late_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prolepsis.text.corpus.reading.SHARD_BYTES", 100)
    monkeypatch.setattr("prolepsis.text.corpus.readers.base.BATCH_DOCUMENTS", 10)
    write_jsonl(tmp_path / "a.jsonl", *(f"good {n}" for n in range(15)))
    lines = b"".join(b'{"text": "bad %d"}\n' % n for n in range(33))
    (tmp_path / "b.jsonl").write_bytes(lines + b"{")
    write_jsonl(tmp_path / "c.jsonl", *(f"good {n}" for n in range(15, 30)))

    corpus = ingest(tmp_path, {"plugin": "exact_duplicates"}, max_bad_share=0.5)

    assert kept(corpus)["text"].to_list() == [f"good {n}" for n in range(30)]
    assert dropped(corpus).height == 0
    assert corpus.metrics["documents"]["read"] == 30


def test_too_many_bad_files_stop_the_run_with_examples(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", "fine")
    for number in range(3):
        (tmp_path / f"bad{number}.txt").write_bytes(b"\x00")

    with pytest.raises(
        ProlepsisError, match=r"3 of 4 files cannot be read, more than the 50% that may be"
    ) as error:
        ingest(tmp_path, max_bad_share=0.5)

    assert "bad0.txt: It is a binary file" in str(error.value)
    assert "max_bad_share" in str(error.value)


def test_a_folder_without_files_says_what_may_be_put_there(tmp_path: Path) -> None:
    with pytest.raises(ProlepsisError, match="no file that a reader takes") as error:
        ingest(tmp_path)

    assert ".jsonl" in str(error.value)


def test_a_corpus_of_empty_files_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()

    with pytest.raises(ProlepsisError, match="has no document"):
        ingest(tmp_path)


def test_a_corpus_of_blank_documents_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" \n")

    with pytest.raises(
        ProlepsisError, match="'reading' dropped every document: all 1 that were left, 1 of them as 'empty'"
    ):
        ingest(tmp_path)


def test_a_filter_that_drops_everything_is_named_with_its_commonest_reason(tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "a.jsonl", "two words", "short text", "one more of ten words so that is another thing"
    )
    strict = {"plugin": "gopher_quality", "config": {"min_words": 5, "max_mean_word_length": 1}}

    with pytest.raises(ProlepsisError, match="'gopher_quality' dropped every document: all 3") as error:
        ingest(tmp_path, {"plugin": "exact_duplicates"}, strict)

    assert "2 of them as 'gopher_short_doc'" in str(error.value)
    assert "corpus_ingestion.filters" in str(error.value)


def test_an_id_used_twice_in_a_file_counts_once_and_files_may_share_ids(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", "first", "second", id="same")
    write_jsonl(tmp_path / "b.jsonl", "third", id="same")

    corpus = ingest(tmp_path)

    assert kept(corpus).select("id", "text").rows() == [("a.jsonl#same", "first"), ("b.jsonl#same", "third")]
    assert dropped(corpus).select("text", "filter", "reason").rows() == [
        ("second", "reading", "duplicate_id")
    ]


def test_a_document_larger_than_the_bound_is_refused_in_every_format(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["x" * 3000]}).write_parquet(tmp_path / "a.parquet")
    write_jsonl(tmp_path / "b.jsonl", "x" * 3000)
    (tmp_path / "c.txt").write_text("x" * 3000)
    (tmp_path / "d.html").write_text("x" * 3000)
    (tmp_path / "e.csv").write_text("text\n" + "x" * 3000)
    write_jsonl(tmp_path / "good.jsonl", "fine")

    corpus = ingest(tmp_path, max_document_megabytes=0.002, max_bad_share=0.9)

    assert kept(corpus)["text"].to_list() == ["fine"]
    assert corpus.set_aside.height == 5
    assert corpus.set_aside["reason"].str.contains("larger than|longer than").all()


def test_a_filter_that_loses_rows_is_a_defect_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prolepsis.text.corpus.filters.gopher import GopherQualityFilter

    monkeypatch.setattr(GopherQualityFilter, "judge", lambda self, documents: documents[:0])
    write_jsonl(tmp_path / "a.jsonl", "text")

    with pytest.raises(TypeError, match="gopher_quality"):
        ingest(tmp_path, QUALITY)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"filters": [{"plugin": "gopher_qualty"}]}, "gopher_quality"),
        ({"filters": [{"plugin": "gopher_quality", "config": {"min_word": 3}}]}, "min_word"),
        ({"filters": [], "readers": {"txt": {"unit": "page"}}}, "unit"),
        ({"filters": [], "readers": {"pdf": {}}}, "pdf"),
        ({"filters": [], "max_bad_share": 2}, "max_bad_share"),
        ({}, "filters"),
    ],
)
def test_a_wrong_configuration_is_named_before_anything_is_read(config: dict[str, Any], key: str) -> None:
    with pytest.raises((ValidationError, ProlepsisError), match=key):
        IngestionConfig.model_validate(config)


def test_temporary_files_go_with_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "corpus").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    write_jsonl(tmp_path / "corpus" / "a.jsonl", "one text", "another text")

    corpus = ingest(tmp_path / "corpus", *DUPLICATES)
    assert kept(corpus).height == 2
    del corpus

    assert list((tmp_path / "tmp").iterdir()) == []
