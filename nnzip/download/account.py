"""Address and key of the Climate Data Store: from the environment, or the files in which its clients keep them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

HOW_TO_GET_A_KEY = (
    "register at https://cds.climate.copernicus.eu (free), copy your personal access token from "
    "https://cds.climate.copernicus.eu/how-to-api into ~/.cdsapirc as two lines, 'url: "
    "https://cds.climate.copernicus.eu/api' and 'key: TOKEN' (or set CDSAPI_URL and CDSAPI_KEY); or take an open "
    "mirror, which needs no key: --source arco"
)
# variables and file of cdsapi, then of ecmwf-datastores-client
_PLACES = (
    ("CDSAPI", "CDSAPI_RC", "~/.cdsapirc"),
    ("ECMWF_DATASTORES", "ECMWF_DATASTORES_RC_FILE", "~/.ecmwfdatastoresrc"),
)


@dataclass(frozen=True)
class Account:
    """Where the Store is, the user's key, and whether its certificate is checked."""

    url: str
    key: str
    verify: bool = True

    @property
    def token(self) -> str:
        """The key as the Store takes it since September 2024, without the user number that older keys begin with."""
        return self.key.rpartition(":")[2]


def find_account() -> Account | None:
    """The first account that has both address and key; the environment goes before the files. None without one."""
    for prefix, rc_name, rc_default in _PLACES:
        kept = _read(Path(os.environ.get(rc_name, rc_default)).expanduser())
        given = {name: os.environ.get(f"{prefix}_{name.upper()}") for name in ("url", "key", "verify")}
        found = kept | {name: text for name, text in given.items() if text}
        if found.get("url") and found.get("key"):
            verify = found.get("verify", "1").lower() not in ("0", "false", "no")
            return Account(found["url"].rstrip("/"), found["key"], verify)
    return None


def _read(path: Path) -> dict[str, str]:
    """The lines "name: value" of a file, in whatever encoding it is; none when it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines if ":" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}
