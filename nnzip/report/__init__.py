"""Evaluations and sweeps for people: terminal tables, figures, and self-contained HTML reports."""

from __future__ import annotations
