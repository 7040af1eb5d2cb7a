"""Words: corpora, tokenizers, word vectors and pretrained encoders. A pure library, without Kedro."""
