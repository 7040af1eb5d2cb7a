"""BERT and its family: one encoder, objectives as plugins, packed batches, Hugging Face folders."""
