"""python -m bench.evidence [--quick] [--write]: every table, with its progress; --quick has a tenth of the runs and
writes nothing."""

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.evidence import candidates, histograms, monitors, page, rivals

STREAMS = {
    "accuracy .90, the limit itself": (0.10, 1),
    "accuracy .91": (0.09, 1),
    "accuracy .92": (0.08, 1),
    "accuracy .91, errors .05 and .13 in turn every 10 h": ("bursts", 1),
    "accuracy .91, 20 rows a request all counted": (0.09, 20),
}
TWO, FIVE = "2 points worse", "5 points worse"
FALLS = (0.01, 0.03, 0.05, 0.20)
CANDIDATES = {
    "equal": 0.0,
    "1 point worse": 0.01,
    TWO: 0.02,
    FIVE: 0.05,
    "2 points better": -0.02,
}


BETTER = " †"
KEPT, MONTHS = 3, 3
"""Months that river sees, and nannyml, whose first one is its reference: label by label a month takes them seconds."""
FALLEN = 20
"""Falls that they see."""
CHUNKS = 20
"""Windows in the reference that nannyml learns its thresholds from."""
HOURLY = 2400
"""Labels in an hour of 20 a poll: a chunk of nannyml's."""


class Progress:
    """Says what runs, and remembers which promises held, and which rivals were not there."""

    def __init__(self, of: int) -> None:
        self.of, self.done, self.began = of, 0, time.monotonic()
        self.promises: list[tuple[str, float, float, float]] = []
        self.absent: dict[str, str] = {}
        self.quiet: set[str] = set()
        """Rules with at most one false alarm a month wherever errors are independent."""

    def rival(
        self,
        package: str,
        question: str,
        found: dict[str, Any],
        streams: dict[str, dict[str, Any]],
        more: dict[str, dict[str, float]] | None = None,
    ) -> None:
        """Add to the columns `found` what a package says of the streams of these names; nothing, and loudly, when it
        cannot be had."""
        print(f"{time.monotonic() - self.began:4.0f} s           {package}: {question}", flush=True)
        try:
            for name, told in rivals.ask(package, question, streams, more or {}).items():
                found[name] |= told
        except rivals.Absent as problem:
            self.absent[package] = str(problem)
            print(f"MISSING: {problem}", flush=True)

    @property
    def missing(self) -> str:
        return "".join(f"\n\n**Not in this table: {problem}**" for problem in self.absent.values())

    def promise(self, what: str, measured: float, most: float, error: float = 0.0) -> None:
        """`error`: the Monte-Carlo standard error of `measured` where the promise is just kept."""
        self.promises.append((what, measured, most, error))

    @property
    def kept(self) -> bool:
        return all(measured <= most + 2 * error for _, measured, most, error in self.promises)

    @property
    def table(self) -> str:
        rows = [
            [
                what,
                f"{most:g}",
                f"{measured:.3g}",
                f"{error:.2g}" if error else "",
                "yes" if measured <= most + 2 * error else "**no**",
            ]
            for what, measured, most, error in self.promises
        ]
        return "### What is promised, and whether it held\n\n" + page.table(
            ["promise", "at most", "measured", "standard error", "held"], rows
        )

    def run(self, what: str, how: Callable[[], object]) -> object:
        self.done += 1
        print(f"{time.monotonic() - self.began:4.0f} s  {self.done:>2} of {self.of}  {what}", flush=True)
        return how()


def main() -> int:
    chosen = argparse.ArgumentParser(prog="python -m bench.evidence", description=__doc__)
    chosen.add_argument("--quick", action="store_true", help="a tenth of the runs; the page stays as it is")
    chosen.add_argument("--write", action="store_true", help="write docs/evidence.md")
    asked = chosen.parse_args()
    scale = 0.1 if asked.quick else 1.0
    monitors.agree(1)
    # Both halves take about as long, and most machines have two cores.
    with ProcessPoolExecutor(2) as pool:
        halves = [pool.submit(half, scale) for half in (watching, judging)]
        (first, *more), (second, *others) = (half.result() for half in halves)
    progress = Progress(0)
    for part in (first, second):
        progress.promises += part.promises
        progress.absent |= part.absent
    parts = [*more, *others, progress.table]
    text = "\n\n".join(parts)
    print(f"\n{text}\n")
    if asked.write and not asked.quick:
        page.write(text)
        print(f"written: {page.PAGE.relative_to(page.ROOT)}")
    print("every promise held" if progress.kept else "a promise was broken")
    for problem in progress.absent.values():
        print(f"MISSING: {problem}")
    return 0 if progress.kept and not progress.absent else 1


def watching(scale: float) -> tuple[Progress, str, str]:
    """Is the model failing."""
    progress = Progress(len(STREAMS) + len(FALLS) + 1)
    return progress, alarms(progress, scale), falls(progress, scale)


def judging(scale: float) -> tuple[Progress, str, str]:
    """Is the candidate worse; has an input drifted."""
    progress = Progress(len(CANDIDATES) + 3 + 2 + 12 + 4 + 2)
    return progress, compared(progress, scale), drifts(progress, scale)


def alarms(progress: Progress, scale: float) -> str:
    lives = max(round(40 * scale), 4)
    found, few, hourly = {}, {}, {}
    for number, (name, (error, rows)) in enumerate(STREAMS.items()):
        polls = np.arange(monitors.MONTH)
        turns = np.where(polls // (10 * monitors.DAY // 24) % 2, 0.13, 0.05)
        shares = turns if error == "bursts" else np.full(monitors.MONTH, error)
        labels, kept = 20 / rows, monitors.Kept(monitors.MONTH, KEPT)
        found[name] = progress.run(
            f"false alarms: {name}",
            lambda seed=number, shares=shares, labels=labels, rows=rows, kept=kept: monitors.false_alarms(
                100 + seed, lives, shares, labels, rows, kept
            ),
        )
        few[name] = kept.arrays(KEPT if scale == 1 else 1)
        hourly[name] = kept.arrays(MONTHS if scale == 1 else 2)
    each = {name: {"rows": rows} for name, (_, rows) in STREAMS.items()}
    progress.rival("river", "false_alarms", found, few, each)
    progress.rival("nannyml", "false_alarms", found, hourly, {"": {"rows": HOURLY}})
    rules = list(next(iter(found.values())))
    limit, bursts = (
        found["accuracy .90, the limit itself"],
        found["accuracy .91, errors .05 and .13 in turn every 10 h"],
    )
    for rule in ("**Lifelong**", "**Lifelong, block 1h**", "**Lifelong, block 1d**"):
        progress.promise(
            f"false alarms a month on the limit, {rule.strip('*')}", limit[rule], 1.0, lives**-0.5
        )
    # Hours are not independent when a spell lasts ten of them: block 1h promises nothing here.
    day = "**Lifelong, block 1d**"
    progress.promise(
        "the same within it, errors in bursts of 10 h, Lifelong, block 1d", bursts[day], 1.0, lives**-0.5
    )
    quick = progress.run("false alarms: quick labels", lambda: monitors.quick_labels(150, lives, 3))
    progress.quiet = {
        rule
        for rule in rules
        if all(
            found[name][rule] <= 1
            for name in STREAMS
            if STREAMS[name][0] != "bursts" and STREAMS[name][1] == 1
        )
    }
    heads = ["false alarms a month", *found]
    rows_ = [[rule, *(f"{column[rule]:,.2f}" for column in found.values())] for rule in rules]
    return (
        "### Is the model failing: false alarms\n\n"
        f"{lives} months each of 30 s polls with 20 labels a poll on average, limit .90; Lifelong promises one in 720 h on the limit. "
        "After an alarm each rule begins afresh. Rules below the bold ones are what people use today. river and nannyml know no limit, but whether "
        f"something changed, so nothing that alarms on these streams is right; river sees {KEPT} of the months label by label, nannyml {MONTHS - 1} by the hour "
        "and another one as its reference, both as they come without arguments (Page-Hinkley: for a rise alone; ADWIN, nannyml: falls of accuracy alone count).\n\n"
        + page.table(heads, rows_)
        + progress.missing
        + "\n\nLabels that come late: accuracy .92, wrong labels come an hour after the prediction and right ones after twelve; new versions called "
        "failing within three days.\n\n"
        + page.table(["rule", "false alarms"], [[rule, page.share(each)] for rule, each in quick.items()])
    )


def falls(progress: Progress, scale: float) -> str:
    lives = max(round(60 * scale), 5)
    found, few, hourly = {}, {}, {}
    for number, fall in enumerate(FALLS):
        name, kept = f"to .{90 - round(100 * fall)}", monitors.Kept(6 * monitors.DAY, min(FALLEN, lives))
        found[name] = progress.run(
            f"delay: a fall of {fall:.2f} below the limit",
            lambda seed=number, fall=fall, kept=kept: monitors.delays(
                200 + seed, lives, 0.08, 0.10 + fall, 20, 5 * monitors.DAY, kept
            ),
        )
        few[name] = kept.arrays()
        hourly[name] = kept.arrays() | _healthy_month(250 + number)
    seen = {"healthy": monitors.DAY, "interval": monitors.INTERVAL}
    progress.rival("river", "delays", found, few, {"": seen})
    progress.rival("nannyml", "delays", found, hourly, {"": {**seen, "rows": HOURLY}})
    heads = ["median hours from the fall to the alarm", *found]
    rows = [
        [
            rule,
            *(
                _hours(column[rule])
                + _better(rule in progress.quiet, rule, column, lambda ours, own: own < ours)
                for column in found.values()
            ),
        ]
        for rule in next(iter(found.values()))
    ]
    return (
        "### Is the model failing: delay\n\n"
        f"{lives} falls each, from accuracy .92 to below the limit of .90, 20 labels a poll. A rule that alarms on healthy models is early "
        f"here for the same reason; ours pay for the silence of the table above. river and nannyml see {FALLEN} of the falls; they look for a change, and so "
        f"they see one that is still above any limit as soon.{BETTER}: better than any of ours, at no more than one false alarm a month above where errors are "
        "independent.\n\n" + page.table(heads, rows) + progress.missing
    )


def _healthy_month(seed: int) -> dict[str, NDArray[np.int16]]:
    """What nannyml compares with."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(20, monitors.MONTH)
    return {"reference_n": n.astype(np.int16), "reference_bad": rng.binomial(n, 0.08).astype(np.int16)}


def _better(fair: bool, rule: str, column: dict[str, float], beats: Callable[[float, float], bool]) -> str:
    """The mark of a rule that is not ours, keeps what ours promise, and beats them all."""
    ours = [value for name, value in column.items() if name.startswith("**")]
    return (
        BETTER
        if fair and not rule.startswith("**") and all(beats(each, column[rule]) for each in ours)
        else ""
    )


def _hours(value: float) -> str:
    return "later than 5 days" if value == float("inf") else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def compared(progress: Progress, scale: float) -> str:
    runs = max(round(2000 * scale), 100)
    columns: dict[str, dict[str, candidates.Outcome]] = {}
    for number, (name, worse_by) in enumerate(CANDIDATES.items()):
        columns[name] = progress.run(
            f"candidates: {name}", lambda seed=number, by=worse_by: _judged(300 + seed, runs, by)
        )
    error = (0.05 * 0.95 / runs) ** 0.5
    for rule in [rule for rule in columns["equal"] if rule.startswith("**")]:
        name = rule.strip("*")
        progress.promise(
            f"an equal candidate rolled back, {name}", columns["equal"][rule].rolled_back, 0.05, error
        )
        wrong = columns[TWO][rule].promoted
        progress.promise(f"a candidate 2 points worse promoted at margin .02, {name}", wrong, 0.05, error)
    heads = ["rolled back / promoted (median labels)", *columns]
    rules = list(next(iter(columns.values())))
    wrongs = [
        [
            rule,
            page.share(columns["equal"][rule].rolled_back),
            *(page.share(1 - columns[worse][rule].rolled_back) for worse in (TWO, FIVE)),
            *(page.share(columns[worse][rule].promoted) for worse in (TWO, FIVE)),
        ]
        for rule in rules
    ]
    text = (
        "### Is the candidate worse\n\n"
        f"{runs:,} rollouts each of 300 polls with 100 labels; champion's error .10, candidate and champion disagree on .06 of requests, margin .02, alpha .05. "
        "An equal candidate should go on, one 2 points worse or more should go back; whatever is neither after 300 polls is inconclusive. "
        "Others promote all that they have not rolled back.\n\n"
        + page.table(heads, [[rule, *(_told(column[rule]) for column in columns.values())] for rule in rules])
        + "\n\nThe same as mistakes; missed is whatever was not rolled back within the 300 polls:\n\n"
        + page.table(
            [
                "share of rollouts",
                "false rollback (equal)",
                *(f"missed ({worse})" for worse in (TWO, FIVE)),
                *(f"wrongly promoted ({worse})" for worse in (TWO, FIVE)),
            ],
            wrongs,
        )
    )
    hard = {}
    for name, new in {
        "20 rows a request, all counted": lambda rng: candidates.pairs(rng, runs, 0.0, rows=20),
        "20 rows a request, one counted": lambda rng: candidates.pairs(rng, runs, 0.0),
        "only one of the two errs in each hour (3 polls)": lambda rng: candidates.pairs(
            rng, runs, 0.0, turns=3
        ),
    }.items():
        both = progress.run(
            f"correlated pairs: {name}", lambda new=new: _both(new(np.random.default_rng(400)))
        )
        hard[name] = both
        progress.promise(f"an equal candidate rolled back in blocks: {name}", both[1], 0.05, error)
    text += "\n\nAn equal candidate, where pairs are not independent: rolled back.\n\n" + page.table(
        ["equal candidate", "**paired**", "**paired, block of 3 polls**"],
        [[name, *(page.share(each) for each in both)] for name, both in hard.items()],
    )
    rows = []
    for worse_by in (0.02, 0.05):
        fixed, mean, median = progress.run(
            f"labels against the optimum: {worse_by:.2f} worse",
            lambda by=worse_by: candidates.against_the_optimum(np.random.default_rng(500), runs, by),
        )
        progress.promise(
            f"pairs to roll back a candidate {worse_by:.2f} worse, by the optimum", mean / fixed, 1.2
        )
        rows.append(
            [
                f"{worse_by:.2f}",
                f"{fixed:,.0f}",
                f"{mean:,.0f}",
                f"{median:,.0f}",
                f"{mean / fixed:.2f}",
                f"{median / fixed:.2f}",
            ]
        )
    return text + "\n\nPairs until a worse candidate is rolled back, against a sign test with the best fixed number of pairs (alpha .05, power .9):\n\n" + page.table(
        ["worse by", "fixed", "ours, mean", "ours, median", "mean / fixed", "median / fixed"], rows
    )  # fmt: skip


def _judged(seed: int, runs: int, worse_by: float) -> dict[str, candidates.Outcome]:
    rng = np.random.default_rng(seed)
    found = {"**paired**": candidates.by_pairs(candidates.pairs(rng, runs, worse_by))}
    for name, weight, swing in (
        ("50/50", 0.5, 0.0),
        ("10/90", 0.1, 0.0),
        ("10/90, both swing between .05 and .15", 0.1, 0.05),
    ):
        seen = candidates.arms(rng, runs, worse_by, weight, swing)
        found[f"**split {name}**"] = candidates.by_split(seen)
        if not swing:
            found |= {f"{rule}, {name}": outcome for rule, outcome in candidates.rivals(seen).items()}
    return dict(sorted(found.items(), key=lambda each: not each[0].startswith("**")))


def _both(new: tuple[candidates.Array, candidates.Array]) -> tuple[float, float]:
    return candidates.by_pairs(new).rolled_back, candidates.by_blocks(new, 3).rolled_back


def _told(outcome: candidates.Outcome) -> str:
    labels = f" ({outcome.labels:,.0f})" if np.isfinite(outcome.labels) else ""
    return f"{page.share(outcome.rolled_back)} / {page.share(outcome.promoted)}{labels}"


def _with_longer_reference(few: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """For whoever learns its thresholds from windows of the reference: 5,000 rows would hold none of 10,000."""
    return {
        name: {
            **arrays,
            "before": histograms.reference_of(680 + number, CHUNKS, *arrays["live"].shape[1:]),
        }
        for number, (name, arrays) in enumerate(few.items())
    }


def drifts(progress: Progress, scale: float) -> str:
    found, few = {}, {}
    for rows in (50, 200, 1000, 10_000):
        for features in (1, 10, 50):
            runs = max(round(20_000 / features * scale), 100)
            name, alpha = f"N {rows:,}, d {features}", histograms.ALPHA
            found[name] = progress.run(
                f"drift: {rows} rows, {features} features",
                lambda rows=rows, features=features, runs=runs: histograms.false_alarms(
                    600 + rows + features, runs, rows, features
                ),
            )
            windows = max(round(1500 / features * scale), 20)
            few[name] = histograms.rows_of(600 + rows + features, runs, min(windows, runs), rows, features, 2)
            alarmed = found[name]["**FeatureDrift**, no effect asked"]
            progress.promise(
                f"windows called drifted that are not, {name}",
                alarmed,
                round(alpha, 4),
                (alpha / runs) ** 0.5,
            )
    progress.rival("evidently", "drift", found, few)
    progress.rival("nannyml", "drift", found, _with_longer_reference(few))
    rules = list(next(iter(found.values())))
    text = (
        "### Has an input drifted: false alarms\n\n"
        "Share of windows of N rows in which any of d features is called drifted although none is: ten bins, 5,000 reference rows, alpha 1/120 a window "
        "(.0083). Below 20 rows a bin the verdict is Unknown. evidently and nannyml come as they are without arguments and see the first windows, 1,500 columns in each cell, "
        "as numbers that lie in their bins as a standard normal's would; nannyml learns its thresholds from a reference of its own, as long as 20 windows.\n\n"
        + page.table(
            ["", *found], [[rule, *(page.share(column[rule]) for column in found.values())] for rule in rules]
        )
        + progress.missing
    )
    moved, few = {}, {}
    for number, shift in enumerate((0.22, 0.38, 0.53)):
        for rows in (200, 1000) if number == 1 else (1000,):
            true, shares = progress.run(
                f"drift: a true shift, {rows} rows",
                lambda rows=rows, shift=shift: histograms.seen(
                    650, max(round(4000 * scale), 400), rows, 10, shift
                ),
            )
            moved[f"true PSI {true:.2f}, N {rows:,}"] = shares
            runs, windows = max(round(4000 * scale), 400), max(round(400 * scale), 40)
            few[f"true PSI {true:.2f}, N {rows:,}"] = histograms.moved_rows_of(
                650, runs, windows, rows, shift, 2
            )
    progress.rival("evidently", "drift", moved, few)
    progress.rival("nannyml", "drift", moved, _with_longer_reference(few))
    for column in moved.values():
        # Of one column, half of the columns is the same.
        column.pop("evidently, the data set: half of the columns", None)
    text += (
        "\n\nAnd one that has moved, among ten features: how often it is seen."
        f"{BETTER}: better than any of ours, at no more false alarms than alpha above.\n\n"
        + page.table(
            ["", *moved],
            [
                [
                    rule,
                    *(
                        page.share(column[rule])
                        + _better(
                            found[f"N {name.rpartition('N ')[2]}, d 10"].get(rule, 1.0) <= histograms.ALPHA,
                            rule,
                            column,
                            lambda ours, own: own > ours,
                        )
                        for name, column in moved.items()
                    ),
                ]
                for rule in next(iter(moved.values()))
            ],
        )
    )
    in_time = {}
    for rho in (0.8, 0.95):
        in_time[f"rho {rho}"] = progress.run(
            f"drift: rows that follow each other, rho {rho}",
            lambda rho=rho: histograms.in_time(700, max(round(60 * scale), 5), 100, 1000, rho),
        )
        windows = max(round(60 * scale), 5) * 100
        alarmed = in_time[f"rho {rho}"]["**FeatureDrift**, blocks measured"]
        # Windows of one reference share its luck: about as many independent ones as half of them.
        progress.promise(
            f"the same, rows that follow each other with rho {rho}",
            alarmed,
            round(histograms.ALPHA, 4),
            (2 * histograms.ALPHA / windows) ** 0.5,
        )
    return text + "\n\nRows that follow each other (AR(1), N 1,000, one feature, a reference of 50 such windows):\n\n" + page.table(
        ["", *in_time],
        [[rule, *(page.share(column[rule]) for column in in_time.values())] for rule in next(iter(in_time.values()))],
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
