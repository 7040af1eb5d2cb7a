"""The built-in pretraining objectives."""
