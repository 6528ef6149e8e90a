"""nnzip inside other packages: xarray."""
