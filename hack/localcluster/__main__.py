"""`python3 hack/localcluster` and, with PYTHONPATH=hack, `python3 -m localcluster`."""

import sys
from pathlib import Path

if not __package__:
    # Run as a folder: Python put this very folder on the path, where our `kubernetes` would hide the client library.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from localcluster import command

if __name__ == "__main__":
    sys.exit(command.main(sys.argv[1:]))
