"""ERA5 from the Copernicus Climate Data Store and from open mirrors, as files that `compress` reads at once."""
