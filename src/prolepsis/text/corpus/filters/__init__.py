"""The built-in filters that look at one document at a time."""
