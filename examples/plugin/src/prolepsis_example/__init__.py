"""A detector and a corpus filter that Prolepsis finds by their entry points."""
