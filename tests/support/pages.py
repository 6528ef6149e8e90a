"""A checker of HTML pages for the tests of reports."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "br", "img", "link", "hr", "input"}


class Checker(HTMLParser):
    """Collects what a page refers to and complains about tags that do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.resources: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.headers: list[dict[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.stack.append(tag)
        self._collect(tag, dict(attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._collect(tag, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def _collect(self, tag: str, attrs: dict[str, str | None]) -> None:
        self.resources += [attrs[key] or "" for key in ("src", "href", "xlink:href", "data") if key in attrs]
        if tag == "svg":
            self.images.append(attrs)
        if tag == "th":
            self.headers.append(attrs)
