"""How good per-frame scores are, in plain numpy: it reads scores and labels and knows no detector.

`frames` has the measures of a set of frames; `videos` says which frames of scored videos count, and measures
the steps ahead.
"""
