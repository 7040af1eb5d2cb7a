"""Small Kedro projects in temporary folders: raw numbers, cleaned, two models, one evaluation.

demo -> ingest -> train (namespaces total, mean) -> evaluate
"""

import itertools
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from prolepsis import plugins
from prolepsis.cli_stages import stages
from prolepsis.stages import KedroProject, StageGraph, build_stages, dvc_yaml

ROOT = Path(__file__).resolve().parents[2]

_FILES = {
    "pyproject.toml": """
        [tool.kedro]
        package_name = "{package}"
        project_name = "Mini"
        kedro_init_version = "1.7.0"
        source_dir = "src"
        """,
    "src/{package}/__init__.py": "",
    "src/{package}/settings.py": """
        from prolepsis.validation.hooks import ValidationHooks

        # Each would add a second to every run.
        DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry", "kedro-viz")
        HOOKS = (ValidationHooks(),)
        CONFIG_LOADER_ARGS = {{
            "base_env": "base",
            "default_run_env": "local",
            "merge_strategy": {{"parameters": "soft"}},
        }}
        """,
    "src/{package}/pipeline_registry.py": """
        from kedro.framework.project import find_pipelines

        def register_pipelines():
            pipelines = find_pipelines(raise_errors=True)
            pipelines["__default__"] = sum(pipelines.values())
            return pipelines
        """,
    "src/{package}/cli.py": """
        import click
        from prolepsis.cli_plugins import plugins
        from prolepsis.cli_stages import stages

        @click.group()
        def cli():
            pass

        cli.add_command(stages)
        cli.add_command(plugins)
        """,
    "src/{package}/cleaning.py": "def positive(numbers):\n    return [n for n in numbers if n > 0]\n",
    "src/{package}/arithmetic.py": """
        from {package}.rounding import rounded

        def total(numbers):
            return rounded(sum(numbers))

        def mean(numbers):
            return rounded(sum(numbers) / len(numbers))
        """,
    "src/{package}/rounding.py": "def rounded(number):\n    return round(number, 3)\n",
    "src/{package}/scaling.py": """
        class Doubler:
            factor = 2
        """,
    "src/{package}/unused.py": "",
    "src/{package}/pipelines/__init__.py": "",
    "src/{package}/pipelines/demo/__init__.py": "from .pipeline import create_pipeline\n",
    "src/{package}/pipelines/demo/nodes.py": """
        def make_numbers(count):
            return list(range(-2, count)), {{"count": count + 2}}
        """,
    "src/{package}/pipelines/demo/pipeline.py": """
        from kedro.pipeline import Node, Pipeline
        from .nodes import make_numbers

        def create_pipeline(**kwargs):
            return Pipeline([Node(make_numbers, "params:demo.count", ["raw_numbers", "demo_manifest"])])
        """,
    "src/{package}/pipelines/ingest/__init__.py": "from .pipeline import create_pipeline\n",
    "src/{package}/pipelines/ingest/nodes.py": """
        def clean_numbers(numbers):
            from {package}.cleaning import positive
            return positive(numbers)
        """,
    "src/{package}/pipelines/ingest/pipeline.py": """
        from kedro.pipeline import Node, Pipeline
        from .nodes import clean_numbers

        def create_pipeline(**kwargs):
            return Pipeline([Node(clean_numbers, "raw_numbers", "numbers")])
        """,
    "src/{package}/pipelines/train/__init__.py": "from .pipeline import create_pipeline\n",
    "src/{package}/pipelines/train/params.py": "DEFAULT = 1\n",
    "src/{package}/pipelines/train/nodes.py": """
        def train_model(numbers, options, seed):
            from prolepsis import plugins
            from {package} import arithmetic
            value = getattr(arithmetic, options["kind"])(numbers)
            for choice in options["steps"]:
                value *= plugins.load("prolepsis.tokenizers", choice["plugin"]).factor
            curve = [{{"step": step, "loss": value / step}} for step in range(1, options["epochs"] + 1)]
            return {{"value": value, "seed": seed}}, {{"value": float(value)}}, curve
        """,
    "src/{package}/pipelines/train/pipeline.py": """
        from kedro.pipeline import Node, Pipeline
        from .nodes import train_model

        def create_pipeline(**kwargs):
            return sum((variant(name) for name in ("total", "mean")), Pipeline([]))

        def variant(name):
            inputs = ["numbers", "params:options", "params:seed"]
            return Pipeline(
                [Node(train_model, inputs, ["model", "metrics", "curve"])],
                namespace=name,
                inputs="numbers",
                parameters={{"params:options": f"params:train.{{name}}", "params:seed": "params:train.seed"}},
            )
        """,
    "src/{package}/pipelines/evaluate/__init__.py": "from .pipeline import create_pipeline\n",
    "src/{package}/pipelines/evaluate/nodes.py": """
        def compare(total, mean, results):
            return {{"ratio": total["value"] / mean["value"], "validated": len(list(results.iterdir()))}}
        """,
    "src/{package}/pipelines/evaluate/pipeline.py": """
        from kedro.pipeline import Node, Pipeline
        from .nodes import compare

        def create_pipeline(**kwargs):
            inputs = ["total.model", "mean.model", "validation_results"]
            return Pipeline([Node(compare, inputs, "comparison")])
        """,
    "conf/base/globals.yml": "data: data\nseed: 3\nunread: 1\n",
    "conf/base/parameters/demo.yml": "demo:\n  count: 5\n",
    "conf/base/parameters/train.yml": """
        train:
          total: {{kind: total, epochs: 2, steps: [{{plugin: mini_doubler}}]}}
          mean: {{kind: mean, epochs: 2, steps: []}}
        """,
    "conf/base/parameters/from_globals.yml": "train:\n  seed: ${{globals:seed}}\n",
    "conf/base/catalog/demo.yml": """
        raw_numbers: {{type: json.JSONDataset, filepath: "${{globals:data}}/01_raw/numbers.json"}}
        demo_manifest: {{type: json.JSONDataset, filepath: "${{globals:data}}/08_reporting/demo.json"}}
        """,
    "conf/base/catalog/ingest.yml": """
        numbers: {{type: json.JSONDataset, filepath: "${{globals:data}}/03_primary/numbers.json"}}
        """,
    "conf/base/catalog/train.yml": """
        "{{variant}}.model":
          type: json.JSONDataset
          filepath: ${{globals:data}}/06_models/{{variant}}.json
        "{{variant}}.metrics":
          type: json.JSONDataset
          filepath: ${{globals:data}}/08_reporting/{{variant}}/metrics.json
          metadata: {{dvc: {{kind: metric}}}}
          validator:
            class: prolepsis.validation.SuiteValidator
            "on": save
            options:
              suite: metrics
              results_path: ${{globals:data}}/08_reporting/validation/{{variant}}.json
        "{{variant}}.curve":
          type: json.JSONDataset
          filepath: ${{globals:data}}/08_reporting/{{variant}}/curve.json
          metadata: {{dvc: {{kind: plot, x: step, y: loss, title: Loss}}}}
        """,
    "conf/base/expectations/metrics.yml": "columns: {{value: Float64}}\n",
    "conf/base/catalog/evaluate.yml": """
        validation_results:
          type: prolepsis.io.FolderDataset
          filepath: ${{globals:data}}/08_reporting/validation
        comparison:
          type: json.JSONDataset
          filepath: ${{globals:data}}/08_reporting/comparison.json
          metadata: {{dvc: {{kind: metric}}}}
        """,
    "conf/test/globals.yml": "data: data/test\n",
    "conf/test/parameters/train.yml": "train:\n  mean: {{epochs: 1}}\n",
    "conf/local/.gitkeep": "",
    # An installed distribution, as far as entry points are concerned.
    "src/{package}-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n",
    "src/{package}-1.0.dist-info/entry_points.txt": """
        [prolepsis.tokenizers]
        mini_doubler = {package}.scaling:Doubler

        [prolepsis.action_detectors]
        mini_doubler = {package}.unused:Doubler
        """,
}


class MiniProject:
    """The project in a folder; `kedro`, `dvc` and `git` run in it as processes of their own."""

    # Modules of a package stay imported: each project of a test process needs a name of its own.
    _numbers = itertools.count()

    def __init__(self, path: Path, package: str) -> None:
        self.path = path
        self.package = package

    @classmethod
    def create(cls, path: Path) -> "MiniProject":
        package = f"mini_{next(cls._numbers)}"
        project = cls(path, package)
        for name, text in _FILES.items():
            project.write(name.format(package=package), text.format(package=package))
        return project

    def write(self, name: str, text: str) -> None:
        """Writes a file; the indentation of its first line is taken off every line."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")

    def replace(self, name: str, old: str, new: str, count: int = -1) -> None:
        """Changes a text in a file where it must occur."""
        file = self.path / name
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}"
        file.write_text(text.replace(old, new, count), encoding="utf-8")

    def plan(self, env: str = "base") -> StageGraph:
        return build_stages(KedroProject(self.path, env))

    def stages(self, *arguments: str) -> tuple[int, str]:
        """`kedro stages …` in this process: exit code and output."""
        return self.call(stages, *arguments)

    def call(self, command: click.Command, *arguments: str) -> tuple[int, str]:
        """A command of Kedro's in this process: exit code and output."""
        done = CliRunner().invoke(command, list(arguments), obj=bootstrap_project(self.path))
        return done.exit_code, done.output

    def render(self) -> dict[str, Any]:
        """What `dvc.yaml` would hold."""
        content: dict[str, Any] = yaml.safe_load(dvc_yaml.render(self.plan()))
        return content

    def kedro(self, *arguments: str, fails: bool = False) -> str:
        return self._call(sys.executable, "-m", "kedro", *arguments, fails=fails)

    def dvc(self, *arguments: str, fails: bool = False) -> str:
        return self._call(sys.executable, "-m", "dvc", *arguments, fails=fails)

    def git(self, *arguments: str) -> str:
        return self._call("git", "-c", "user.name=Mini", "-c", "user.email=mini@example.org", *arguments)

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def _call(self, *command: str, fails: bool = False) -> str:
        scripts = Path(sys.executable).parent
        environment = os.environ | {
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.path / "src"),
            "DVC_NO_ANALYTICS": "1",
            "KEDRO_DISABLE_TELEMETRY": "1",
            "GIT_AUTHOR_NAME": "Mini",
            "GIT_AUTHOR_EMAIL": "mini@example.org",
            "GIT_COMMITTER_NAME": "Mini",
            "GIT_COMMITTER_EMAIL": "mini@example.org",
        }
        done = subprocess.run(
            command, cwd=self.path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        output = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, f"{' '.join(command)} ended with {done.returncode}:\n{output}"
        return output


@pytest.fixture(autouse=True)
def no_trace_of_other_projects() -> Iterator[None]:
    """Kedro puts a project's source on the path for good; with it, the plugins of that project."""
    before = list(sys.path)
    yield
    sys.path[:] = before
    plugins._entry_points.cache_clear()


@pytest.fixture
def mini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MiniProject]:
    """A project to be planned in this process."""
    project = MiniProject.create(tmp_path / "mini")
    monkeypatch.setattr(sys, "path", [str(project.path / "src"), *sys.path])
    monkeypatch.setenv("PYTHONPATH", "")  # Kedro adds to it
    plugins._entry_points.cache_clear()
    yield project
    plugins._entry_points.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == project.package]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> MiniProject:
    """A project under Git and DVC, all stages run once and committed. Not to be changed: see `clone`."""
    project = MiniProject.create(tmp_path_factory.mktemp("repository") / "mini")
    project.git("init", "-q")
    project.dvc("init", "-q")
    # What a clone of this repository has: raw data is ignored by Git, and DVC stages what it writes.
    for name in (".gitignore", ".dvcignore", ".dvc/config"):
        shutil.copy(ROOT / name, project.path / name)
    project.kedro("stages", "sync")
    project.commit("Before the first run")
    project.dvc("repro", "-q")
    project.commit("After the first run")
    return project


@pytest.fixture
def clone(repository: MiniProject, tmp_path: Path) -> MiniProject:
    """A copy of the repository, its data and its DVC cache, to be changed."""
    shutil.copytree(repository.path, tmp_path / "clone")
    return MiniProject(tmp_path / "clone", repository.package)
