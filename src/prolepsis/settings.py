"""Kedro's settings of this project. See https://docs.kedro.org/en/stable/configure/ for all of them."""

import os

from prolepsis.hooks import CheckpointHooks
from prolepsis.validation.hooks import ValidationHooks
from prolepsis.variants import VARIANTS

__all__ = ["CONFIG_LOADER_ARGS", "DISABLE_HOOKS_FOR_PLUGINS", "HOOKS", "VARIANTS"]

# Read when torch is loaded. OpenMP's threads else spin while they wait for each other: with any other load on
# the machine, training on two cores then takes many times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # An environment overrides single values, not a whole pipeline's parameters.
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
}

# Validators learn from the first which dataset they look at, and where the project is.
HOOKS = (ValidationHooks(), CheckpointHooks())

# Each adds a second to every run: one reports usage, the other gathers statistics of pandas frames,
# which this project has none of. `kedro viz` does not need its hooks.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry", "kedro-viz")
