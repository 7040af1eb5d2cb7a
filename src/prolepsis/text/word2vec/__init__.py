"""word2vec: skip-gram and CBOW (Mikolov et al. 2013): training and scores."""
