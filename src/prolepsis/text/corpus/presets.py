"""Lists of filters under a name, for what people mostly make corpora of."""

from typing import Any

PRESETS: dict[str, list[dict[str, Any]]] = {
    # Web pages: the order of FineWeb (Penedo et al. 2024, arXiv 2406.17557, and datatrove's
    # examples/fineweb.py) with the published thresholds; C4 without its rule of terminal punctuation.
    "fineweb": [
        {"plugin": "language"},
        {"plugin": "gopher_repetition"},
        {"plugin": "gopher_quality"},
        {"plugin": "c4", "config": {"require_sentence_end": False}},
        {"plugin": "fineweb"},
        {"plugin": "exact_duplicates"},
        {"plugin": "near_duplicates"},
        {"plugin": "pii"},
    ],
    # Books, encyclopedias and other edited prose: nothing that dialogue, verse or a short entry would fail.
    # What is lowered counts length and punctuation, which are no signs of spam in a book.
    "books": [
        {"plugin": "language"},
        {"plugin": "gopher_repetition", "config": {"top_ngrams_must_recur": True}},
        {
            "plugin": "gopher_quality",
            "config": {
                "min_words": 8,
                "min_alphabetic_words": 0.6,
                "min_stop_words": 1,
                "max_words": 10_000_000,
            },
        },
        {"plugin": "exact_duplicates"},
        {"plugin": "near_duplicates"},
    ],
}
