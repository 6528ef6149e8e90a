"""xarray's own tests of back ends, on archives with exact values.

What does not apply to an archive is named in NOT_APPLICABLE with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import xarray as xr
from xarray.tests.test_backends import CFEncodedBase

import nnzip
from nnzip.data.conventions import OWN_ATTRIBUTES

xr.set_options(warn_for_unclosed_files=False)  # type: ignore[no-untyped-call]  # which importing xarray's tests sets for the whole process

_FIELD = "_field"
"""An archive holds at least one field; it is left out when the archive is opened."""

_NO_STORE = "archives are written by nnzip.compress alone, whole: there is no store, and no mode"
_NO_ENCODING = "nnzip.compress takes no encoding: values are kept in the type that they have in memory, unpacked"
_OBJECTS = "arrays of Python objects other than text are refused (InputError)"
_NAMES = "names other than text are refused (InputError)"
_COORDINATES = (
    "an archive knows which variables are coordinates, not which attribute said so, or that names are missing"
)
_NO_FILL = "the encoding says _FillValue None where the source has none, so that to_netcdf adds none either"
NOT_APPLICABLE = {
    "test_append_overwrite_values": _NO_STORE,
    "test_append_with_invalid_dim_raises": _NO_STORE,
    "test_append_write": _NO_STORE,
    "test_coordinate_variables_after_dataset_roundtrip": _COORDINATES,
    "test_coordinates_encoding": _COORDINATES,
    "test_default_fill_value": _NO_ENCODING,
    "test_encoding_kwarg": _NO_ENCODING,
    "test_encoding_kwarg_fixed_width_string": _NO_ENCODING,
    "test_encoding_unlimited_dims": "nnzip.compress takes no unlimited_dims: those of the source's encoding are kept",
    "test_explicitly_omit_fill_value": _NO_FILL,
    "test_explicitly_omit_fill_value_in_coord": _NO_FILL,
    "test_explicitly_omit_fill_value_in_coord_via_encoding_kwarg": _NO_FILL,
    "test_explicitly_omit_fill_value_via_encoding_kwarg": _NO_FILL,
    "test_grid_mapping_and_bounds_are_coordinates_after_dataarray_roundtrip": _COORDINATES,
    "test_invalid_dataarray_names_raise": _NAMES,
    "test_load_async": "the test needs pytest-asyncio",
    "test_multiindex_not_implemented": "an index of several levels is refused (InputError)",
    "test_roundtrip_None_variable": _NAMES,
    "test_roundtrip_boolean_dtype": "a variable with the name of a dimension has exactly that one (docs/format.md)",
    "test_roundtrip_bytes_with_fill_value": _OBJECTS,
    "test_roundtrip_coordinates_with_space": _COORDINATES,
    "test_roundtrip_mask_and_scale": _NO_ENCODING,
    "test_roundtrip_object_dtype": _OBJECTS,
    "test_roundtrip_string_encoded_characters": _NO_ENCODING,
    "test_roundtrip_string_with_fill_value_nchar": _OBJECTS,
    "test_roundtrip_stringdtype_nulls": _OBJECTS,
    "test_roundtrip_unsigned": _NO_ENCODING,
    "test_string_object_warning": "text is kept as it is, without a warning",
    "test_write_store": _NO_STORE,
}


def test_every_exception_is_one_of_xarrays_tests() -> None:
    assert set(NOT_APPLICABLE) <= set(dir(CFEncodedBase))


@pytest.fixture(autouse=True)
def _applicable(request: pytest.FixtureRequest) -> None:
    reason = NOT_APPLICABLE.get(request.node.originalname)
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(params=["ns", "us", "ms", "s"])
def time_unit(request: pytest.FixtureRequest) -> str:
    """As xarray's own tests have it."""
    return str(request.param)


@pytest.fixture(params=[True, False])
def use_dask(request: pytest.FixtureRequest) -> bool:
    """As xarray's own tests have it."""
    return bool(request.param)


class TestArchives(CFEncodedBase):
    """Reads what `nnzip.compress` wrote losslessly."""

    engine = "nnzip"  # type: ignore[assignment]

    def save(self, dataset: xr.Dataset, path: str, **kwargs: Any) -> None:
        dataset = dataset.copy()
        for name, encoding in kwargs.pop("encoding", {}).items():
            dataset[name].encoding = {**dataset[name].encoding, **encoding}
        if "unlimited_dims" in kwargs:
            dataset.encoding["unlimited_dims"] = kwargs.pop("unlimited_dims")
        if kwargs:
            raise NotImplementedError(kwargs)
        named = dataset.assign({_FIELD: (("rlat", "rlon"), np.arange(4.0).reshape(2, 2))})
        nnzip.compress(named, path, nnzip.Target(lossless=True), overwrite=True)

    @contextmanager
    def open(self, path: str, **kwargs: Any) -> Iterator[xr.Dataset]:
        with xr.open_dataset(path, engine="nnzip", drop_variables=_FIELD, **kwargs) as dataset:
            for variable in dataset.variables.values():
                variable.attrs = {key: value for key, value in variable.attrs.items() if key not in OWN_ATTRIBUTES}
            yield dataset
