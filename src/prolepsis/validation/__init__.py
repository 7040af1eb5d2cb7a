"""Data contracts behind Kedro's `validator:` key: dtypes checked in polars, the rest by Great Expectations.

```yaml
documents:
  type: prolepsis.io.ParquetShardsDataset
  filepath: data/03_primary/documents
  validator:
    class: prolepsis.validation.SuiteValidator
    "on": save
    options: {suite: documents, results_path: data/08_reporting/validation/documents.json}
```

Great Expectations takes two seconds to import, so it is imported only when a suite has expectations.
"""

from importlib import import_module
from typing import Any

_MODULES = {"SuiteValidator": "validator", "ValidationHooks": "hooks"}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
