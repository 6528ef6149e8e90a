"""Limits of the format: what an archive declares is compared with these before anything is allocated."""

from __future__ import annotations

FIRST_FORMAT, FORMAT_VERSION = 1, 2
"""Oldest format that is read, and the one that is written."""

ARRAYS_MEMBER = "arrays"
"""The member that holds the bytes of all small lossless arrays."""
MANIFEST_MEMBER = "manifest.json"

MAX_DIMS = 32
"""Dimensions of one variable."""
MAX_VALUES = 1 << 40
"""Values of one variable; also the limit of every declared size."""
MAX_FORMULA_VALUES = 1 << 26
"""Values of an array that is stored as a formula, and so costs the archive nothing."""
MAX_MEMBERS = 1 << 20
MAX_MANIFEST_BYTES = 64 << 20
MAX_INFLATION = 1032
"""Deflate cannot expand by more than this factor (zlib's technical notes)."""
