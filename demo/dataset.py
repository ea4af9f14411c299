"""Writes the flights of 2013 as one Parquet file, for `modelmend simulate`: python -m demo.dataset out/flights.parquet"""

import sys
from pathlib import Path

from demo import flights


def main() -> None:
    """The one argument is the file."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m demo.dataset FILE.parquet")
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = flights.load()
    rows.to_parquet(path, index=False)
    print(f"{path}: {len(rows):,} flights")


if __name__ == "__main__":
    main()
