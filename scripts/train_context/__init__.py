"""Training of the context network: `PYTHONPATH=scripts python -m train_context --help`."""
