"""Limits of the format, the same for writers and readers: every declared size and every sum is compared with these
before anything is allocated, so that opening a file of n bytes takes at most 64 MB + 20 n of memory."""

from __future__ import annotations

OLDEST_FORMAT, FORMAT_VERSION = 3, 4

MAX_DIMS = 32
"""Dimensions of one variable."""
MAX_NAME = 1024
"""Characters of a name of a variable or a dimension, and of a promise."""
MAX_VALUES = 1 << 40
"""Values of one variable; also the limit of every declared size."""
MAX_TILE_VALUES = 1 << 26
"""Values of one tile."""
MAX_FORMULA_VALUES = 1 << 26
"""Values of an array that is stored as a formula, and so costs the archive nothing."""
MAX_ALL_DIMS = 2000
"""Dimensions of an archive."""
MAX_MEMBERS = 1 << 20
MAX_MEMBER_BYTES = 1 << 30
MAX_INFLATION = 1032
"""Deflate cannot expand by more than this factor (zlib's technical notes)."""


def max_variables(file_bytes: int) -> int:
    """Coordinates and variables of all kinds; each costs a reader about a millisecond and some kB."""
    return 2000 + file_bytes // 1000


def max_manifest_bytes(file_bytes: int) -> int:
    """Inflated bytes of the manifest of a file of this size."""
    return (8 << 20) + 4 * file_bytes


def max_manifest_tokens(file_bytes: int) -> int:
    """Commas, colons and opening brackets of the manifest; each costs a reader up to about 100 bytes of memory."""
    return 400_000 + file_bytes // 8


def max_held_bytes(file_bytes: int) -> int:
    """Bytes of all that readers hold while a file is open: dimension coordinates and grid axes, 8 at least for each
    point and 96 more for text and for dates of other calendars; scalars; typed attributes."""
    return (24 << 20) + 4 * file_bytes
