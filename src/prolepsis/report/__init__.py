"""The report: tables and pictures of a run as one HTML page that needs no network.

`blocks` are the things a page can show, `charts` makes the drawn ones, `words`, `frames`, `timelines` and
`checks` turn datasets into sections of blocks, and `page` renders sections. All text is HTML and all curves
are SVG stretched beneath it, so that a page is as readable on a phone as on a desk.
"""
