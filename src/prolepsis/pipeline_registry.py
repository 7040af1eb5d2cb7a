"""The pipelines that `kedro run --pipelines NAME` knows.

They are imported when asked for, one by one: a run of `corpus_ingestion` never loads the video chain.
"""

import pkgutil
import warnings
from collections.abc import Iterator, Mapping
from importlib import import_module

from kedro.pipeline import Pipeline

from prolepsis import pipelines

# Reading another pipeline's variant, `wordpiece.tokens`, is what a namespace is for.
warnings.filterwarnings("ignore", message="One or more dataset names contain '.'", category=UserWarning)

COMPOSITES = {
    "text": ("corpus_ingestion", "tokenization", "word2vec", "bert", "downstream"),
    "video": ("video_ingestion", "feature_extraction", "action_detection", "detection_evaluation"),
}

# Run by name only: one makes what others make, from other data; the other trains for long what most take
# ready-made.
BY_NAME_ONLY = ("moco_pretraining", "precomputed_features")


class LazyPipelines(Mapping[str, Pipeline]):
    """Every folder of `prolepsis.pipelines` by its name, composites of them, and all as `__default__`.

    `__default__` is without those of `BY_NAME_ONLY`.
    """

    def __init__(self) -> None:
        self.leaves = tuple(sorted(module.name for module in pkgutil.iter_modules(pipelines.__path__)))
        default = tuple(name for name in self.leaves if name not in BY_NAME_ONLY)
        self._parts = {name: (name,) for name in self.leaves} | COMPOSITES | {"__default__": default}
        self._created: dict[str, Pipeline] = {}

    def __getitem__(self, name: str) -> Pipeline:
        return sum((self._leaf(part) for part in self._parts[name]), Pipeline([]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def _leaf(self, name: str) -> Pipeline:
        if name not in self._created:
            module = import_module(f"{pipelines.__name__}.{name}")
            self._created[name] = module.create_pipeline()
        return self._created[name]


def register_pipelines() -> Mapping[str, Pipeline]:
    """Called by Kedro."""
    return LazyPipelines()
