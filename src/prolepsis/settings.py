"""Kedro's settings of this project. See https://docs.kedro.org/en/stable/configure/ for all of them."""

from prolepsis.variants import VARIANTS

__all__ = ["CONFIG_LOADER_ARGS", "VARIANTS"]

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # An environment overrides single values, not a whole pipeline's parameters.
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
}
