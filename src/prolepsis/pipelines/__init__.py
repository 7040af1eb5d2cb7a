"""One folder per pipeline: the graph, its thin nodes, and its typed parameters."""
