"""Benchmarks one after the other; exit 1 when a target is missed.

make bench            those that need no cluster
make bench-cluster    those on the local cluster, with the operator's and the runtime's image loaded
"""

import argparse
import subprocess
import sys

HERE = ("server",)
ON_CLUSTER = ("reaction", "idle")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cluster", action="store_true", help="those on the local cluster")
    missed = [
        name
        for name in (ON_CLUSTER if parser.parse_args().cluster else HERE)
        if subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode
    ]
    if missed:
        print(f"targets missed by: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
