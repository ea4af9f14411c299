"""An advice in words, and as YAML to paste into a ModelDeployment's spec."""

import json
from typing import Any

from modelmend.advise import rollouts, tuning
from modelmend.api import fields
from modelmend.evidence import verdict


def text(found: tuning.Advice) -> str:
    """What a terminal shows, the YAML included."""
    wish = found.wish
    parts = [
        f"a fall to {wish.fallen:.4g} is seen after",
        _row("", "half of cases", "9 of 10 cases"),
        _row("labels", _number(found.delay.labels.median), _number(found.delay.labels.ninth)),
        _row("time", _time(found.delay.time.median), _time(found.delay.time.ninth)),
        "(after its first label: add the time that labels take to come)",
        "",
        _false_alarms(wish),
        "",
        f"a candidate's pairs until a decision (alpha {wish.alpha:g}, margin {wish.margin:g}), and their time in "
        f"shadow at {wish.shadow} % of traffic",
        _contest_row("candidate", "half of cases", "9 of 10 cases", "ends"),
        *(_contest(found, each) for each in found.contests),
        f"the canary's steps take {verdict.duration(found.canary())} more: {wish.step_labels:,} new pairs at each of "
        f"{', '.join(f'{weight} %' for weight in wish.weights)}",
        "",
        *(line for said in (found.out_of_reach, found.rollout_out_of_reach) if said for line in (said, "")),
        "write below spec:",
        "",
        snippet(found),
    ]
    return "\n".join(parts)


def snippet(found: tuning.Advice) -> str:
    """YAML for `spec`, indented to stand below it."""
    wish = found.wish
    limit = f"minimum: {wish.limit:.4g}" if wish.minimum is not None else f"maxDrop: {wish.fall / 2:.4g}"
    lines = [
        "  monitoring:",
        f"    interval: {fields.format_duration(wish.interval)}",
        "    signals:",
        "    - name: accuracy",
        "      type: Accuracy",
        f"      {limit}",
        f"      minLabels: {found.min_labels}",
        f"      falseAlarmEvery: {fields.format_duration(wish.false_alarm_every)}",
    ]
    if found.deadline is not None:
        lines += ["  rollout:", "    analysis:", f"      deadline: {fields.format_duration(found.deadline)}"]
    return "\n".join(lines)


def as_json(found: tuning.Advice) -> str:
    """The same for programs: camelCase, times in seconds, null for what was not reached."""
    wish = found.wish

    def spread(of: Any) -> dict[str, float | None]:
        return {"median": of.median, "nineInTen": of.ninth}

    body = {
        "limit": round(wish.limit, 6),
        "fallen": round(wish.fallen, 6),
        "minLabels": found.min_labels,
        "falseAlarmEvery": fields.format_duration(wish.false_alarm_every),
        "deadline": None if found.deadline is None else fields.format_duration(found.deadline),
        "outOfReach": [said for said in (found.out_of_reach, found.rollout_out_of_reach) if said],
        "detection": {
            "labels": spread(found.delay.labels),
            "seconds": spread(found.delay.time),
            "runs": found.delay.runs,
        },
        "rollout": [
            {
                "gain": each.gain,
                "discordant": each.discordant,
                "pairs": spread(each.pairs),
                "promoted": each.promoted,
                "sentBack": each.sent_back,
            }
            for each in found.contests
        ],
        "canarySeconds": round(found.canary(), 3),
    }
    return json.dumps(body, indent=2)


def _false_alarms(wish: tuning.Wish) -> str:
    promise = (
        f"false alarms: at most {wish.false_alarms_per_month:g} a month on average while the accuracy is at or above "
        f"{wish.limit:.4g}"
    )
    if wish.busy >= 1:
        return promise
    return f"{promise}; at twice as many labels as {wish.labels_per_day:,.6g} a day, twice as many"


def _row(name: str, half: str, most: str) -> str:
    return f"  {name:<8} {half:>16} {most:>16}".rstrip()


def _contest(found: tuning.Advice, contest: rollouts.Contest) -> str:
    shares = [(contest.promoted, "goes on"), (contest.sent_back, "goes back")]
    ends = ", ".join(f"{word} {share * 100:.3g} %" for share, word in shares if share) or "undecided"
    half, most = (_pairs(found, pairs) for pairs in (contest.pairs.median, contest.pairs.ninth))
    return _contest_row(f"{contest.gain * 100:+.3g} points", half, most, ends)


def _contest_row(candidate: str, half: str, most: str, ends: str) -> str:
    return f"  {candidate:<11} {half:>22} {most:>22}   {ends}"


def _pairs(found: tuning.Advice, pairs: float | None) -> str:
    return "later" if pairs is None else f"{_number(pairs)}, {verdict.duration(found.comparison(pairs))}"


def _number(number: float | None) -> str:
    if number is None:
        return "later"
    return f"{number:,.0f}" if number < 100 else verdict.about(round(number))


def _time(seconds: float | None) -> str:
    return "later" if seconds is None else verdict.duration(seconds)
