"""How many more are needed: the smallest number from which something is found.

Called by paired, margin and blocks for "412 of about 920".
"""

from collections.abc import Callable


def first(is_found: Callable[[int], bool]) -> int:
    """The smallest positive number for which `is_found` holds, if it goes on holding; by doubling, then halving.

    Does not return when it never holds: ask first whether the evidence grows at all.
    """
    enough = 1
    while not is_found(enough):
        enough *= 2
    short = enough // 2
    while enough - short > 1:
        middle = (enough + short) // 2
        short, enough = (short, middle) if is_found(middle) else (middle, enough)
    return enough
