"""Video: media in, annotations and labels, frame encoders and features. A pure library, without Kedro."""
