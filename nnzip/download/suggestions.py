"""What a user may have meant by a name that is not in the table."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

_MOST = 4
_LEAST_LETTERS = 3  # of a word that says something


def suggestion(name: str, known: Mapping[str, str]) -> str:
    """A hint that names the nearest of `known` (name -> short name): those of all its words, then by spelling."""
    words = {word for word in _words(name) if len(word) >= _LEAST_LETTERS}
    scores = {text: sum(_score(word, text) for word in words) for text in known}
    best = max(scores.values(), default=0)
    by_words = sorted((text for text, score in scores.items() if score == best), key=len) if best else []
    by_spelling = difflib.get_close_matches(name, known, n=_MOST, cutoff=0.6)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
    near = [*close, *by_words, *by_spelling]
    short = list(dict.fromkeys(known[text] for text in near))[:_MOST]
    if not short:
        return "nnzip download --list shows those known"
    texts = {code: next(text for text in near if known[text] == code) for code in short}
    return f"did you mean {' or '.join(c if texts[c] == c else f'{c} ({texts[c]})' for c in short)}?"


def _score(word: str, text: str) -> int:
    """3 for a word of the text, 2 for one that is spelled nearly so, 1 for a part of one."""
    held = _words(text)
    if word in held:
        return 3
    return 2 if difflib.get_close_matches(word, held, n=1, cutoff=0.8) else int(word in text)


def _words(text: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", text))
