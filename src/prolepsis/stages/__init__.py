"""A Kedro project's `dvc.yaml`, made from its pipeline registry, its catalog and its parameters.

Nothing here knows what the pipelines are about: it works for any Kedro project.
"""

from prolepsis.stages.dvc_yaml import FILE_NAME, render, write
from prolepsis.stages.graph import StageGraph
from prolepsis.stages.plan import build_stages
from prolepsis.stages.project import KedroProject

__all__ = ["FILE_NAME", "KedroProject", "StageGraph", "build_stages", "render", "write"]
