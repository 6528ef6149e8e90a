"""The licence of ERA5 and what it asks to be said, as attributes of every file."""

from __future__ import annotations

from nnzip.download.plan import Part

LICENCE = "CC-BY-4.0 (Copernicus Climate Change Service)"
LICENCE_URL = "https://creativecommons.org/licenses/by/4.0/"
_DOI = {
    "era5": ("10.24381/cds.adbb2d47", "10.24381/cds.bd0915c6"),
    "era5-ensemble": ("10.24381/cds.adbb2d47", "10.24381/cds.bd0915c6"),
    "era5-monthly": ("10.24381/cds.f17050d7", "10.24381/cds.6860a573"),
    "era5-land": ("10.24381/cds.e2161bac", ""),
}
"""Of the surface and the pressure levels; statistics of days are derived from the hourly data."""
_ORIGINS = {
    "cds": "{} from the Copernicus Climate Data Store",
    "arco": "{} from ARCO-ERA5 (Google Research; Carver & Merose 2023)",
    "wb2": "{} from WeatherBench2 (Google Research; Rasp et al. 2024, doi:10.1029/2023MS004019)",
    "ecmwf": "{} from ECMWF's Zarr stores (arco.datastores.ecmwf.int)",
    "ncar": "{} from NSF NCAR on AWS (dataset d633000, doi:10.5065/BH6N-5N20)",
}


def attribution(part: Part) -> dict[str, str]:
    """Global attributes that the licence and good practice ask for; `year` in them is that of the data."""
    selection = part.selection
    first, last = selection.start.year, selection.end.year
    years = f"{first}" if first == last else f"{first}-{last}"
    doi = _DOI.get(selection.dataset.name, _DOI["era5"])[bool(selection.fields[0].levels)]
    return {
        "institution": "European Centre for Medium-Range Weather Forecasts",
        "source": _ORIGINS[part.source].format(selection.dataset.title),
        "license": f"{LICENCE}, {LICENCE_URL}",
        "attribution": (
            f"Contains modified Copernicus Climate Change Service information {years}. Neither the European Commission "
            "nor ECMWF is responsible for any use that may be made of the Copernicus information or data it contains."
        ),
        "references": f"Hersbach et al. (2023), doi:{doi}; Hersbach et al. (2020), doi:10.1002/qj.3803",
    }
