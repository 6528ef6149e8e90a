"""`nnzip sample`: write the built-in dataset, so that everything can be tried without a download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nnzip.cli import options
from nnzip.cli.outputs import check_dataset
from nnzip.cli.terminal import session
from nnzip.report import numbers

EXAMPLES = (
    "nnzip sample weather.nc",
    "nnzip sample europe.nc --resolution 0.5 --bbox 35,70,-10,40 --variables t2m,tp",
)


def sample(
    output: Annotated[Path, typer.Argument(help="File to write: .nc, .zarr or .zarr.zip.")],
    resolution: Annotated[float, typer.Option(help="Grid spacing in degrees; a divisor of 90.")] = 1.5,
    hours: Annotated[int, typer.Option(help="Length of the record in hours.")] = 120,
    step_hours: Annotated[int, typer.Option(help="Hours between two fields.")] = 3,
    start: Annotated[str, typer.Option(help="First day or time.", metavar="DATE")] = "2016-10-01",
    bbox: options.Bbox = None,
    variables: options.Variables = None,
    seed: Annotated[int, typer.Option(help="Another seed is another planet with other weather.")] = 0,
    force: options.Force = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write a synthetic ERA5-like dataset: temperature, pressure, wind, rain, sea surface, a travelling cyclone."""
    with session(quiet=quiet, verbose=verbose) as terminal:
        names = options.parse_variables(variables)
        check_dataset(output, overwrite=force)
        from nnzip.data.area import parse_bbox
        from nnzip.data.writing import write_dataset
        from nnzip.sample.sample import make_sample

        dataset = make_sample(
            resolution=resolution,
            hours=hours,
            step_hours=step_hours,
            start=start,
            area=None if bbox is None else parse_bbox(bbox),
            variables=names,
            seed=seed,
        )
        write_dataset(dataset, output, overwrite=force)
        sizes = numbers.shape({str(name): size for name, size in dataset.sizes.items()})
        terminal.message(
            f"{output}: {', '.join(map(str, dataset.data_vars))} ({sizes}, {numbers.file_size(dataset.nbytes)})"
        )
