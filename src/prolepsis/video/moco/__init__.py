"""Momentum contrast: an image encoder from one's own frames, without labels."""
