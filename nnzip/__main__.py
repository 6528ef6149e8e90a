"""`python -m nnzip`: the command line."""

from nnzip.cli.main import main

if __name__ == "__main__":
    main()
