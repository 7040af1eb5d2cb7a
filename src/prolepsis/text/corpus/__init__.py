"""From a folder of files in many formats to clean, distinct documents.

`files` finds what may be read, `readers` turn a file into batches, `normalisation` cleans them, `filters`,
`language` and `duplicates` say which documents go and why, `ingestion` runs all of it in bounded memory.
"""
