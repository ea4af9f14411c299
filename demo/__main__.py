"""`make demo`, which runs `python -m demo`: the way in, quick to end while nothing has begun."""

import signal
import sys


def main() -> int:
    """The exit code."""
    # The libraries that the demo imports take seconds. Ctrl-C meanwhile just ends it, without a trace of where it was.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from demo import course

    return course.main()


if __name__ == "__main__":
    sys.exit(main())
