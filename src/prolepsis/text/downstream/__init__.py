"""Fine-tuning of a pretrained encoder on labelled text, and what it is measured against.

`readers` and `corpus_tasks` give a `DownstreamTask`, `fine_tuning` trains an encoder on it, `baselines` are
the simple methods beside it, and `evaluation` turns everybody's predictions into figures.
"""
