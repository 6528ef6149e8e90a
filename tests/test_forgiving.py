"""What a user of Python may pass, what he is told when it does not fit, and how archives look."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import nnzip
from nnzip.data.opening import Data
from nnzip.errors import UsageError

TARGET = nnzip.Target(ratio=20)


def test_compress_takes_a_path_several_paths_a_dataset_or_an_array(weather: Path, tmp_path: Path) -> None:
    with xr.open_dataset(weather) as dataset:
        options = nnzip.Options(nnzip.Target(max_error="0.5K"), variables="t2m")
        archives = []
        given: list[Data] = [weather, str(weather), [weather], dataset, dataset["t2m"]]
        for number, data in enumerate(given):
            path = tmp_path / f"{number}.nnz"
            result = nnzip.compress(data, path, options)
            archives.append(nnzip.open_archive(path).dataset()["t2m"].values)
            assert list(result.errors) == ["t2m"]
        for found in archives[1:]:
            np.testing.assert_array_equal(found, archives[0])


def test_sizes_of_files_are_known(weather: Path, tmp_path: Path) -> None:
    assert nnzip.compress(weather, tmp_path / "a.nnz", TARGET).stored_bytes == weather.stat().st_size


def test_without_a_target_the_communitys_tolerances_hold(weather: Path, tmp_path: Path) -> None:
    assert 0 < nnzip.compress(weather, tmp_path / "a.nnz").errors["t2m"].max_error <= 0.05


def test_the_source_is_not_replaced(weather: Path) -> None:
    with pytest.raises(UsageError):
        nnzip.compress(weather, weather, TARGET, overwrite=True)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((np.zeros((2, 3)), "a.nnz"), r"data are a path.* not a ndarray: xarray.DataArray\("),
        ((3, "a.nnz"), "not a int"),
        ((xr.Dataset(), "a.nnz", "0.1K"), r"an nnzip.Target or nnzip.Options, not '0.1K': write nnzip.Target\(ratio"),
        ((xr.Dataset(), "a.nnz", {"ratio": 3}), "write nnzip.Target"),
    ],
)
def test_other_types_are_named_with_the_remedy(arguments: tuple[Any, ...], problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        nnzip.compress(*arguments)


def test_an_array_without_a_name_is_refused() -> None:
    with pytest.raises(UsageError, match=r"has no name: give it .*rename\('t2m'\)"):
        nnzip.compress(xr.DataArray(np.zeros((2, 3, 4))), "a.nnz", TARGET)


@pytest.mark.parametrize(
    ("wished", "held"),
    [
        ("0.1K", {None: "0.1K"}),
        (0.5, {None: 0.5}),
        ("t2m=0.1K,msl=5", {"t2m": "0.1K", "msl": "5"}),
        ({"t2m": 2}, {"t2m": 2}),
        ("", {}),
    ],
)
def test_targets_take_text_numbers_and_mappings(wished: Any, held: dict[str | None, Any]) -> None:
    assert nnzip.Target(max_error=wished).max_error == held
    if held:
        assert nnzip.Target(rmse=wished) == nnzip.Target(rmse=held)


@pytest.mark.parametrize("wished", [[1], True, {"t2m": None}, {3: 1.0}])
def test_other_bounds_are_a_type_error(wished: Any) -> None:
    with pytest.raises(TypeError, match=r"give a number in the variable's units, text as '0.1K'"):
        nnzip.Target(max_error=wished)
    with pytest.raises(TypeError, match="is text: a ratio"):
        nnzip.Target(ratio="30")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "when",
    [
        "2016-10-01T06/2016-10-01T12",
        slice("2016-10-01T06", "2016-10-01T12"),
        slice(np.datetime64("2016-10-01T06:00:00.000000000"), datetime(2016, 10, 1, 12, tzinfo=UTC)),
        slice(datetime(2016, 10, 1, 6), "2016-10-01T12"),
    ],
)
def test_select_takes_one_name_and_slices(archive: Path, when: Any) -> None:
    with nnzip.open_archive(archive) as opened:
        found = opened.select("t2m", time=when)
        assert list(found.data_vars) == ["t2m"]
        assert found.sizes["valid_time"] == 3


def test_select_names_what_it_cannot_take(archive: Path) -> None:
    with nnzip.open_archive(archive) as opened:
        with pytest.raises(TypeError, match="the time 5 is a int: give text as '2016-10-05'"):
            opened.select(time=5)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="a time slice takes no step"):
            opened.select(time=slice("2016", None, 2))
        with pytest.raises(UsageError, match="no variable 'T2M': did you mean t2m"):
            opened.select("T2M")


def test_reading_after_close_says_so(archive: Path) -> None:
    with nnzip.open_archive(archive) as opened:
        lazy = opened.dataset()["t2m"]
    with pytest.raises(UsageError, match=r"is closed: read values inside the `with` block, or .*load\(\)"):
        lazy.load()
    assert "t2m" in repr(opened)


def test_an_archive_shows_what_it_holds(archive: Path) -> None:
    with nnzip.open_archive(archive) as opened:
        text, page = repr(opened), opened._repr_html_()
    assert text.startswith("<nnzip.Archive weather.nnz: ")
    assert "times smaller than float32>" in text
    for shown in (text, page):
        assert "t2m" in shown
        assert "(valid_time, latitude, longitude)" in shown
        assert "m s**-1" in shown
    assert page.count("<tr>") == 1 + len(opened.manifest.variables)


def test_evaluate_takes_paths_archives_and_datasets(weather: Path, archive: Path) -> None:
    by_path = nnzip.evaluate(weather, archive, variables="t2m", structure=False)
    with nnzip.open_archive(archive) as opened:
        assert nnzip.evaluate(weather, opened, variables="t2m", structure=False) == by_path
        by_dataset = nnzip.evaluate(nnzip.open_dataset(weather), opened.dataset(), variables=["t2m"], structure=False)
    assert by_dataset.variables[0].rmse == by_path.variables[0].rmse
    assert by_path.file_bytes == archive.stat().st_size
