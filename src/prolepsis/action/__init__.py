"""Online action detection: detectors over frame features, their training, scores and evaluation.

A feature vector describes one step of a video. At step k a detector has seen the steps 0..k and says which
actions are going on at k, and, where it anticipates, at k+1, k+2, ...
"""
