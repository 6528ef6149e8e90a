"""Sphinx configuration of the documentation: Markdown pages, the API from docstrings, every warning an error."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

from nnzip.version import __version__

OPTIONAL = ("xarray", "zarr", "cluster", "training", "trust", "method", "network")
"""Pages that the navigation names before they are written."""

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
    """Leave pages that are not there out of the navigation."""
    app.connect("source-read", _existing_pages)


def _existing_pages(app: Sphinx, page: str, source: list[str]) -> None:
    if page == "index":
        for name in set(OPTIONAL) - app.env.found_docs:
            source[0] = re.sub(rf"^{name}\n", "", source[0], flags=re.M)
