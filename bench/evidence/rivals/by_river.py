"""river's ADWIN and Page-Hinkley, fed label by label (1 is wrong), as they come without any argument.

Page-Hinkley is told to look for a rise alone, and an ADWIN that saw the mean fall is no alarm: errors that get fewer
are no reason to worry. Neither knows a limit: they find a change.
"""

import json
import math
import sys

import numpy as np
from river import drift


class Adwin:
    name = "river ADWIN"

    def __init__(self):
        self.made = drift.ADWIN()

    def alarms(self, wrong):
        before = self.made.estimation
        self.made.update(wrong)
        return self.made.drift_detected and self.made.estimation > before


class PageHinkley:
    name = "river Page-Hinkley"

    def __init__(self):
        self.made = drift.PageHinkley(mode="up")

    def alarms(self, wrong):
        self.made.update(wrong)
        return self.made.drift_detected


def labels(rng, n, wrong, rows):
    """The labels of one poll in a random order; `rows` alike together."""
    order = np.zeros(int(n) // rows, dtype=int)
    order[: int(wrong) // rows] = 1
    rng.shuffle(order)
    return np.repeat(order, rows).tolist()


def false_alarms(arrays, rows):
    """Alarms a life; n and bad are (polls, lives)."""
    found = {}
    for kind in (Adwin, PageHinkley):
        rng, number = np.random.default_rng(1), 0
        for life in range(arrays["n"].shape[1]):
            rule = kind()
            for n, wrong in zip(arrays["n"][:, life], arrays["bad"][:, life], strict=True):
                for label in labels(rng, n, wrong, int(rows)):
                    number += rule.alarms(label)
        found[kind.name] = number / arrays["n"].shape[1]
    return found


def delays(arrays, healthy, interval):
    """Median hours from the fall, after `healthy` polls, to the next alarm."""
    found = {}
    for kind in (Adwin, PageHinkley):
        rng, seen = np.random.default_rng(1), []
        for life in range(arrays["n"].shape[1]):
            rule, first = kind(), math.inf
            for poll, (n, wrong) in enumerate(zip(arrays["n"][:, life], arrays["bad"][:, life], strict=True)):
                alarmed = False
                for label in labels(rng, n, wrong, 1):
                    alarmed |= rule.alarms(label)
                if alarmed and poll >= healthy:
                    first = (poll - healthy + 1) * interval / 3600
                    break
            seen.append(first)
        found[kind.name] = float(np.median(seen))
    return found


def cells(arrays):
    """What was asked about several streams in one file: `n:stream` is n of that stream."""
    found = {}
    for key in arrays.files:
        name, _, stream = key.partition(":")
        found.setdefault(stream, {})[name] = arrays[key]
    return found


if __name__ == "__main__":
    answer, more = globals()[sys.argv[1]], json.loads(sys.argv[3])
    # One process for all of them: to import the package takes longer than most answers.
    print(
        json.dumps(
            {
                stream: answer(each, **more.get(stream, more.get("", {})))
                for stream, each in cells(np.load(sys.argv[2])).items()
            }
        )
    )
