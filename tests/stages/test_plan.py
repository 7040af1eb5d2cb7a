"""What the stages of a project are, without running them."""

from typing import Any

import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.stages import dvc_yaml


def code_of(mini: Any, stage: Any) -> set[str]:
    prefix = f"src/{mini.package}/"
    return {path.removeprefix(prefix) for path in stage.files if path.startswith(prefix)}


def stage_of(mini: Any, name: str, env: str = "base") -> Any:
    return {stage.name: stage for stage in mini.plan(env).stages}[name]


def outputs_of(stage: Any) -> dict[str, str]:
    return {output.path: output.dataset for output in stage.outputs}


def problems_of(mini: Any, env: str = "base") -> str:
    with pytest.raises(ProlepsisError) as caught:
        mini.plan(env)
    return str(caught.value)


def test_there_is_a_stage_for_each_leaf_pipeline_or_namespace_in_the_order_of_the_data(mini: Any) -> None:
    assert [(stage.name, stage.command) for stage in mini.plan().stages] == [
        ("demo", "kedro run --env base --pipelines demo"),
        ("ingest", "kedro run --env base --pipelines ingest"),
        ("train-mean", "kedro run --env base --pipelines train --namespaces mean"),
        ("train-total", "kedro run --env base --pipelines train --namespaces total"),
        ("evaluate", "kedro run --env base --pipelines evaluate"),
    ]


def test_nodes_without_namespace_beside_namespaces_are_a_stage_of_their_own(mini: Any) -> None:
    mini.write(
        f"src/{mini.package}/pipelines/evaluate/pipeline.py",
        """
        from kedro.pipeline import Node, Pipeline
        from .nodes import compare

        def create_pipeline(**kwargs):
            inner = Node(lambda x: x, "comparison", "result", name="repeat", namespace="later")
            inputs = ["total.model", "mean.model", "validation_results"]
            plain = Node(compare, inputs, "comparison", name="compare")
            return Pipeline([plain, inner])
        """,
    )
    mini.write(
        "conf/base/catalog/later.yml",
        "result: {type: json.JSONDataset, filepath: data/08_reporting/result.json}\n",
    )
    commands = {stage.name: stage.command for stage in mini.plan().stages}
    assert commands["evaluate"] == "kedro run --env base --pipelines evaluate --nodes compare"
    assert commands["evaluate-later"] == "kedro run --env base --pipelines evaluate --namespaces later"


def test_data_flows_by_files(mini: Any) -> None:
    stage = stage_of(mini, "train-total")
    assert stage.data == ("data/03_primary/numbers.json",)
    assert outputs_of(stage) == {
        "data/06_models/total.json": "total.model",
        "data/08_reporting/total/metrics.json": "total.metrics",
        "data/08_reporting/total/curve.json": "total.curve",
        "data/08_reporting/validation/total.json": "total.metrics",
    }
    assert mini.plan().edges == {
        ("demo", "ingest"),
        ("ingest", "train-mean"),
        ("ingest", "train-total"),
        ("train-mean", "evaluate"),
        ("train-total", "evaluate"),
    }


def test_a_stage_depends_on_exactly_the_code_it_can_run(mini: Any) -> None:
    own = {f"pipelines/train/{name}.py" for name in ("__init__", "nodes", "params", "pipeline")}
    assert code_of(mini, stage_of(mini, "train-mean")) == own | {"arithmetic.py", "rounding.py"}
    own = {f"pipelines/ingest/{name}.py" for name in ("__init__", "nodes", "pipeline")}
    assert code_of(mini, stage_of(mini, "ingest")) == own | {"cleaning.py"}


def test_files_in_a_folder_beside_the_code_are_dependencies(mini: Any) -> None:
    package = f"src/{mini.package}/pipelines/ingest"
    mini.write(f"{package}/templates/page.html", "<p></p>\n")
    mini.write(f"{package}/__pycache__/nodes.pyc", "not code of ours\n")
    found = code_of(mini, stage_of(mini, "ingest"))
    assert "pipelines/ingest/templates/page.html" in found
    assert not any("__pycache__" in name for name in found)
    assert "pipelines/ingest/templates/page.html" not in code_of(mini, stage_of(mini, "train-mean"))


def test_a_plugin_is_a_dependency_of_the_stage_whose_parameters_choose_it(mini: Any) -> None:
    assert "scaling.py" in code_of(mini, stage_of(mini, "train-total"))
    assert "scaling.py" not in code_of(mini, stage_of(mini, "train-mean"))
    # A plugin of the same name in a group that the code of the stage does not name.
    assert "unused.py" not in code_of(mini, stage_of(mini, "train-total"))


def test_a_plugin_that_is_not_installed_is_told(mini: Any) -> None:
    mini.replace("conf/base/parameters/train.yml", "mini_doubler", "mini_dubler")
    assert "Did you mean 'mini_doubler'?" in problems_of(mini)


def test_a_plugin_of_a_group_that_the_stage_does_not_name_is_none_of_its_business(mini: Any) -> None:
    before = stage_of(mini, "train-total").files
    more = "{plugin: mini_doubler}, {plugin: rnn}"
    mini.replace("conf/base/parameters/train.yml", "{plugin: mini_doubler}", more)
    assert stage_of(mini, "train-total").files == before


def test_dataset_classes_of_the_package_are_dependencies_with_what_they_import(mini: Any) -> None:
    mini.write(
        f"src/{mini.package}/tables.py",
        f"""
        from kedro_datasets.json import JSONDataset
        from {mini.package} import rounding

        class RoundedDataset(JSONDataset):
            pass
        """,
    )
    mini.replace("conf/base/catalog/ingest.yml", "json.JSONDataset", f"{mini.package}.tables.RoundedDataset")
    assert {"tables.py", "rounding.py"} <= code_of(mini, stage_of(mini, "ingest"))
    assert "tables.py" in code_of(mini, stage_of(mini, "train-mean"))
    assert "tables.py" not in code_of(mini, stage_of(mini, "demo"))


def test_a_stage_depends_on_the_catalog_files_of_its_datasets(mini: Any) -> None:
    catalogs = [path for path in stage_of(mini, "evaluate").files if path.startswith("conf/")]
    assert catalogs == ["conf/base/catalog/evaluate.yml", "conf/base/catalog/train.yml"]


def test_parameters_are_the_keys_that_are_read_and_the_globals_behind_them(mini: Any) -> None:
    assert stage_of(mini, "train-mean").parameters == {
        "conf/base/globals.yml": ["data", "seed"],
        "conf/base/parameters/from_globals.yml": ["train.seed"],
        "conf/base/parameters/train.yml": ["train.mean"],
    }
    assert stage_of(mini, "ingest").parameters == {"conf/base/globals.yml": ["data"]}


def test_an_environment_adds_the_keys_it_overrides(mini: Any) -> None:
    stage = stage_of(mini, "train-mean", env="test")
    assert stage.command == "kedro run --env test --pipelines train --namespaces mean"
    assert stage.data == ("data/test/03_primary/numbers.json",)
    assert stage.parameters == {
        "conf/base/globals.yml": ["data", "seed"],
        "conf/base/parameters/from_globals.yml": ["train.seed"],
        "conf/base/parameters/train.yml": ["train.mean"],
        "conf/test/globals.yml": ["data"],
        "conf/test/parameters/train.yml": ["train.mean"],
    }
    assert "conf/test/parameters/train.yml" not in stage_of(mini, "train-total", env="test").parameters


def test_interpolations_between_parameters_and_globals_are_followed(mini: Any) -> None:
    mini.write(
        "conf/base/globals.yml", "data: ${root}/x\nroot: data\nseed: ${nested.seed}\nnested: {seed: 1}\n"
    )
    mini.replace(
        "conf/base/parameters/train.yml",
        "epochs: 2, steps: []",
        "epochs: '${..shared}', steps: ['${other.a}']",
    )
    mini.write("conf/base/parameters/more.yml", "other: {a: '${globals:late,0}', b: 1}\ntrain: {shared: 4}\n")
    mini.write("conf/test/globals.yml", "late: 3\n")
    assert stage_of(mini, "train-mean", env="test").parameters == {
        "conf/base/globals.yml": ["data", "nested.seed", "root", "seed"],
        "conf/base/parameters/from_globals.yml": ["train.seed"],
        "conf/base/parameters/more.yml": ["other.a", "train.shared"],
        "conf/base/parameters/train.yml": ["train.mean"],
        "conf/test/globals.yml": ["late"],
        "conf/test/parameters/train.yml": ["train.mean"],
    }


def test_files_that_parameters_name_are_dependencies_here_or_under_dvc(mini: Any) -> None:
    named = "'${globals:data}/01_raw/questions.jsonl', ./more/answers.v2.csv"
    named = f"{named}, data/06_models/mean.json, data/08_reporting/demo.json, {'n' * 300}/b.txt"
    others = (
        "in/out, gensim:data/words.tsv, https://host/file.txt, ../there/file.txt, words.tsv, books/moby.txt"
    )
    mini.replace("conf/base/parameters/train.yml", "steps: []", f"steps: [{named}, {{deep: [{others}, 3]}}]")
    mini.write("data/03_primary/numbers.json", "[]")
    mini.write("data/01_raw/questions.jsonl.dvc", "outs: [{path: questions.jsonl}]")
    mini.write("more/answers.v2.csv", "")
    mini.write("words.tsv", "")
    (mini.path.parent / "there").mkdir()
    (mini.path.parent / "there" / "file.txt").touch()
    assert stage_of(mini, "train-mean").data == (
        "data/01_raw/questions.jsonl",
        "data/03_primary/numbers.json",
        "data/08_reporting/demo.json",
        "more/answers.v2.csv",
    )
    assert stage_of(mini, "train-total").data == ("data/03_primary/numbers.json",)


def test_a_node_that_reads_all_parameters_depends_on_all_of_them(mini: Any) -> None:
    mini.replace(
        f"src/{mini.package}/pipelines/ingest/pipeline.py", '"raw_numbers"', '["raw_numbers", "parameters"]'
    )
    mini.replace(f"src/{mini.package}/pipelines/ingest/nodes.py", "(numbers)", "(numbers, everything=None)")
    assert stage_of(mini, "ingest").parameters == {
        "conf/base/globals.yml": ["data", "seed"],
        "conf/base/parameters/demo.yml": ["demo"],
        "conf/base/parameters/from_globals.yml": ["train"],
        "conf/base/parameters/train.yml": ["train"],
    }


def test_a_parameter_in_no_file_is_a_problem(mini: Any) -> None:
    mini.replace("conf/base/parameters/demo.yml", "count", "number")
    assert "the parameter 'demo.count', read by demo, is in no file" in problems_of(mini)


def test_a_dataset_that_crosses_stages_without_a_file_is_a_problem(mini: Any) -> None:
    mini.write("conf/base/catalog/ingest.yml", "")
    mini.write("conf/base/catalog/demo.yml", "raw_numbers: {type: MemoryDataset}\n")
    told = problems_of(mini)
    assert "'raw_numbers' crosses a stage boundary without a file: made by demo, read by ingest" in told
    assert "'numbers' crosses a stage boundary without a file: made by ingest, read by train-mean" in told


def test_a_dataset_that_nobody_makes_and_that_has_no_file_is_a_problem(mini: Any) -> None:
    mini.replace(f"src/{mini.package}/pipelines/ingest/pipeline.py", '"raw_numbers"', '"other_numbers"')
    assert "'other_numbers' crosses a stage boundary without a file: made by no stage" in problems_of(mini)


def test_what_stays_in_memory_inside_a_stage_is_nobodys_business(mini: Any) -> None:
    mini.write(
        "conf/base/catalog/demo.yml",
        'raw_numbers: {type: json.JSONDataset, filepath: "${globals:data}/n.json"}\n',
    )
    assert outputs_of(stage_of(mini, "demo")) == {"data/n.json": "raw_numbers"}


@pytest.mark.parametrize("path", ["data/06_models/total.json", "data/06_models"])
def test_two_stages_that_write_one_path_are_a_problem(mini: Any, path: str) -> None:
    mini.replace("conf/base/catalog/evaluate.yml", "${globals:data}/08_reporting/comparison.json", path)
    told = problems_of(mini)
    assert f"evaluate and train-total write {path} ('comparison') and data/06_models/total.json" in told


@pytest.mark.parametrize("path", ["/elsewhere/numbers.json", "../numbers.json", "s3://bucket/numbers.json"])
def test_an_output_outside_the_project_is_a_problem(mini: Any, path: str) -> None:
    mini.replace("conf/base/catalog/ingest.yml", "${globals:data}/03_primary/numbers.json", path)
    assert f"ingest writes {path}, which is outside the project" in problems_of(mini)


def test_stages_that_wait_for_each_other_are_a_problem(mini: Any) -> None:
    mini.replace(
        f"src/{mini.package}/pipelines/ingest/pipeline.py",
        'Node(clean_numbers, "raw_numbers", "numbers")',
        'Node(clean_numbers, "raw_numbers", "numbers"), Node(lambda x: x, "comparison", "again", name="n")',
    )
    with pytest.raises(ProlepsisError, match="Stages wait for each other: .*evaluate"):
        mini.plan()


def test_a_wrong_word_for_dvc_is_named(mini: Any) -> None:
    mini.replace("conf/base/catalog/evaluate.yml", "kind: metric", "kind: metrics")
    told = problems_of(mini)
    assert "kind: Input should be 'out', 'metric' or 'plot'" in told
    assert "comparison: metadata: dvc" in told


def test_an_environment_that_is_not_there_is_named(mini: Any) -> None:
    assert "There is no environment 'cuda'" in problems_of(mini, env="cuda")


def validator(
    mini: Any, catalog: str, entry: str, on: str, results: str = "data/08_reporting/results.json"
) -> None:
    mini.replace(
        f"conf/base/catalog/{catalog}.yml",
        entry,
        f"""{entry}, validator: {{class: prolepsis.validation.SuiteValidator, "on": {on},
          options: {{suite: some_suite, results_path: {results}}}}}""",
    )
    mini.write("conf/base/expectations/some_suite.yml", "columns: {value: Int64}\n")


def test_results_of_a_validator_on_save_are_an_output_of_the_stage_that_saves(mini: Any) -> None:
    validator(mini, "ingest", 'numbers.json"', on="save")
    stages = {stage.name: stage for stage in mini.plan().stages}
    assert "data/08_reporting/results.json" in outputs_of(stages["ingest"])
    assert "conf/base/expectations/some_suite.yml" in stages["ingest"].files
    assert "conf/base/expectations/some_suite.yml" not in stages["train-mean"].files


def test_results_of_a_validator_on_load_are_an_output_of_the_first_stage_that_loads(mini: Any) -> None:
    validator(mini, "ingest", 'numbers.json"', on="load")
    stages = {stage.name: stage for stage in mini.plan().stages}
    owners = [name for name, stage in stages.items() if "data/08_reporting/results.json" in outputs_of(stage)]
    assert owners == ["train-mean"]
    readers = [
        name for name, stage in stages.items() if "conf/base/expectations/some_suite.yml" in stage.files
    ]
    assert readers == ["train-mean", "train-total"]


def test_a_stage_may_read_the_folder_of_all_results_but_not_write_there(mini: Any) -> None:
    assert "data/08_reporting/validation" in stage_of(mini, "evaluate").data
    validator(mini, "ingest", 'numbers.json"', on="save", results="data/08_reporting/validation/numbers.json")
    assert ("ingest", "evaluate") in mini.plan().edges
    mini.replace("conf/base/catalog/evaluate.yml", "/comparison.json", "/validation/comparison.json")
    told = problems_of(mini)
    assert (
        "evaluate reads data/08_reporting/validation and writes data/08_reporting/validation/compar" in told
    )


def test_a_validator_that_would_write_its_results_twice_is_a_problem(mini: Any) -> None:
    validator(mini, "ingest", 'numbers.json"', on="[save, load]")
    assert "the validator of 'numbers' runs on save and on load" in problems_of(mini)


def test_two_validators_that_write_one_file_are_a_problem(mini: Any) -> None:
    validator(mini, "ingest", 'numbers.json"', on="save")
    validator(mini, "demo", 'demo.json"', on="save")
    assert "the validators of 'demo_manifest' and 'numbers' both write" in problems_of(mini)


def track(mini: Any, path: str, beside: str | None = None, wdir: str | None = None) -> None:
    folder, _, name = path.rpartition("/")
    content = f"outs:\n- md5: 0\n  path: {name if wdir is None else path}\n"
    mini.write(beside or f"{folder}/{name}.dvc", content + (f"wdir: {wdir}\n" if wdir else ""))


def test_a_stage_whose_data_the_user_tracks_is_left_out(mini: Any) -> None:
    track(mini, "data/01_raw/numbers.json")
    graph = mini.plan()
    assert [stage.name for stage in graph.stages] == ["ingest", "train-mean", "train-total", "evaluate"]
    assert graph.left_out == {"demo": "tracked by data/01_raw/numbers.json.dvc"}
    assert "(demo: left out, tracked by data/01_raw/numbers.json.dvc)" in graph.text()


def test_tracking_the_folder_around_it_or_by_a_file_elsewhere_counts(mini: Any) -> None:
    track(mini, "data/01_raw")
    assert mini.plan().left_out == {"demo": "tracked by data/01_raw.dvc"}
    (mini.path / "data/01_raw.dvc").unlink()
    track(mini, "01_raw/numbers.json", beside="mine.dvc", wdir="data")
    assert mini.plan().left_out == {"demo": "tracked by mine.dvc"}


def test_a_stage_whose_data_is_tracked_in_part_is_a_problem(mini: Any) -> None:
    mini.replace(
        f"src/{mini.package}/pipelines/ingest/pipeline.py",
        '"raw_numbers"',
        '["raw_numbers", "demo_manifest"]',
    )
    mini.replace(f"src/{mini.package}/pipelines/ingest/nodes.py", "(numbers)", "(numbers, manifest)", count=1)
    track(mini, "data/01_raw/numbers.json")
    told = problems_of(mini)
    assert "demo would write data/01_raw/numbers.json, tracked by data/01_raw/numbers.json.dvc" in told
    assert "only if data/08_reporting/demo.json is tracked too (dvc add)" in told


def test_metrics_and_plots_are_told_to_dvc(mini: Any) -> None:
    mini.replace(
        "conf/base/catalog/ingest.yml", 'numbers.json"', 'numbers.json", metadata: {dvc: {kind: plot}}'
    )
    content = mini.render()
    assert content["stages"]["train-mean"]["metrics"] == ["data/08_reporting/mean/metrics.json"]
    assert content["plots"] == [
        "data/03_primary/numbers.json",
        {"mean.curve": {"title": "Loss", "x": "step", "y": {"data/08_reporting/mean/curve.json": "loss"}}},
        {"total.curve": {"title": "Loss", "x": "step", "y": {"data/08_reporting/total/curve.json": "loss"}}},
    ]


def test_the_text_is_the_same_each_time_and_says_not_to_edit_it(mini: Any) -> None:
    first, second = dvc_yaml.render(mini.plan()), dvc_yaml.render(mini.plan())
    assert first == second
    assert first.startswith("# generated by kedro stages sync; do not edit\n")
