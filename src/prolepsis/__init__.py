"""Prolepsis: words and frames that learn by predicting what they have not been shown."""

__version__ = "0.1.0"
