"""The version of nnzip, which archives and reports name."""

__version__ = "0.1.0"
