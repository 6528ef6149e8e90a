"""Sphinx configuration of the documentation: Markdown pages, the API from docstrings, every warning an error."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

from nnzip.version import __version__

project = "nnzip"
author = "The nnzip developers"
copyright = "the nnzip developers"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "nnzip"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_class_signature = "separated"


def setup(app: Sphinx) -> None:
    """Let the navigation follow the pages there are."""
    app.connect("source-read", _navigation)


def _navigation(app: Sphinx, page: str, source: list[str]) -> None:
    """Leave out of index.md what is not written yet, and add at its end what it does not name."""
    if page != "index":
        return
    listed, found = set(re.findall(r"^(\w+)$", source[0], re.M)), app.env.found_docs - {"index"}
    for name in listed - found:
        source[0] = re.sub(rf"^{name}\n", "", source[0], flags=re.M)
    source[0] = source[0].rstrip().removesuffix("```") + "\n".join([*sorted(found - listed), "```\n"])
