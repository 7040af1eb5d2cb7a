"""Which variants of which pipeline exist: each is a namespace, and a stage of its own in DVC."""

VARIANTS: dict[str, tuple[str, ...]] = {
    "tokenization": ("wordpiece", "byte_bpe", "word_level"),
    "action_detection": ("frame_only", "rnn", "trn", "idn", "oadtr", "miniroad", "testra"),
}

BASELINE = "frame_only"
"""The detector that all others are measured against."""
