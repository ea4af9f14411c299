"""`make bench`: every benchmark that needs no cluster, one after the other; exit 1 when a target is missed.

`python -m bench.idle` needs the local cluster with a serving ModelDeployment (`make demo` with --keep leaves one).
"""

import subprocess
import sys

NAMES = ("server",)


def main() -> int:
    missed = [
        name
        for name in NAMES
        if subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode
    ]
    if missed:
        print(f"targets missed by: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
