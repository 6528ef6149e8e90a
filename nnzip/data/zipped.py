"""NetCDF and GRIB files in a ZIP: what the Climate Data Store sends, as .nc, for requests that mix kinds of steps."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from nnzip.errors import InputError, ResourceError

SUFFIXES = (".nc", ".nc4", ".grib", ".grb", ".grib2", ".grb2")


def inner_files(names: list[str]) -> list[str]:
    """The members that are NetCDF or GRIB files by their name."""
    return [name for name in names if name.lower().endswith(SUFFIXES)]


def unpack(path: Path, folder: Path) -> list[Path]:
    """Unpack the NetCDF and GRIB files of the ZIP `path` into `folder`; their checksums are verified.

    Raises InputError for a damaged file, ResourceError when `folder`'s disk has no room for the content.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [archive.getinfo(name) for name in inner_files(archive.namelist())]
            needed, free = sum(member.file_size for member in members), shutil.disk_usage(folder).free
            if needed > free:
                raise ResourceError(
                    f"{path} unpacks to {needed / 1e6:.0f} MB and the disk of {folder} has {free / 1e6:.0f} MB free: "
                    "make room, or set TMPDIR to a larger disk"
                )
            files = []
            for number, member in enumerate(members):
                files.append(folder / f"{number}_{PurePosixPath(member.filename).name}")
                with archive.open(member) as source, files[-1].open("wb") as target:
                    shutil.copyfileobj(source, target)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path} is a damaged ZIP file ({error}): copy or download it again") from error
    return files
