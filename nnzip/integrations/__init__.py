"""nnzip inside other packages: xarray, Zarr, numcodecs."""
