"""What an evaluation found, as a person reads it: terminal tables, figures, and a self-contained HTML report."""

from __future__ import annotations
