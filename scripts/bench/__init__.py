"""Benchmarks on the cases of a peers.json: `PYTHONPATH=scripts python -m bench --help`."""
