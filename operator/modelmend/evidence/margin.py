"""Is the candidate not worse by a margin, on traffic that was divided between it and the champion?

Called by decide for rollouts without pairs (a user's own image): `split` says when the candidate is worse, this
says when it may be promoted. With x bad among n labels of each arm, p = (x + 1) / (n + 2),

    D = p_candidate - p_champion,    V = p (1 - p) / n summed over both arms,    N = n_candidate + n_champion
    h = sqrt(V N) sqrt(2 (N rho^2 + 1) / (N rho)^2 ln(1 + sqrt(N rho^2 + 1) / (2 alpha)))

D + h is an upper bound of the difference at every look together: a one-sided asymptotic confidence sequence
(Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024), rho set to be tightest at TIGHTEST labels. Asymptotic means:
not from the first label, but from LABELS_NEEDED on each arm. Conditions: each request goes to an arm at random by
itself, and only labels of requests made since the canary began count on either arm (labels of the same age).
"""

import math

from modelmend.evidence import counts, evalue, paired, search, split, verdict

LABELS_NEEDED = 300
"""On each arm. From 500 in all, a tenth of them the candidate's, 13 to 36 % were wrongly promoted instead of 5 %."""
TIGHTEST = 2000.0
LARGEST_ALPHA = 0.4
"""A larger one is taken for this: at 1/2 rho would be 0."""


def difference(candidate: counts.Tally, champion: counts.Tally, alpha: float) -> tuple[float, float]:
    """(D, h): how much more often the candidate is wrong, and the half-width of its bound. Both arms need a label."""
    shares = [(arm.bad + 1) / (arm.n + 2) for arm in (candidate, champion)]
    variance = sum(
        share * (1 - share) / arm.n for share, arm in zip(shares, (candidate, champion), strict=True)
    )
    return shares[0] - shares[1], math.sqrt(variance) * _width(candidate.n + champion.n, alpha)


def is_not_worse(candidate: counts.Tally, champion: counts.Tally, margin: float, alpha: float) -> bool:
    """False with probability at least about 1 - alpha at all looks together, if the candidate is worse by `margin`
    or more."""
    if min(candidate.n, champion.n) < LABELS_NEEDED:
        return False
    excess, half = difference(candidate, champion, alpha)
    return excess + half < margin


def compare(
    worse: split.State, candidate: counts.Tally, champion: counts.Tally, margin: float, alpha: float
) -> paired.Comparison:
    """Worse, NotWorse or Undecided, as `paired.compare`; `n` are labels of both arms.

    ValueError for a margin outside [0, 1).
    """
    if not 0 <= margin < 1:
        raise ValueError(f"the margin {margin} must be at least 0 and below 1")
    n = candidate.n + champion.n
    if not (candidate.n and champion.n):
        missing = "candidate" if champion.n else "champion" if candidate.n else "two"
        because = f"no label on the {missing} yet: nothing to compare"
        return paired.Comparison(paired.Finding.UNDECIDED, n, None, because)
    shares = verdict.figures(candidate.share, champion.share)
    score = f"wrong {shares[0]} over {candidate.n:,} labels against {shares[1]} over {champion.n:,}"
    if evalue.fires(worse.log_e, alpha):
        because = f"the candidate is worse than the champion: {score} (alpha {alpha:g})"
        return paired.Comparison(paired.Finding.WORSE, n, None, because)
    if is_not_worse(candidate, champion, margin, alpha):
        claim = f"not worse than the champion by {margin:g} or more" if margin else "better than the champion"
        because = f"the candidate is {claim}: {score} (alpha {alpha:g})"
        return paired.Comparison(paired.Finding.NOT_WORSE, n, n, because)
    expected = expected_labels(candidate, champion, margin, alpha)
    if expected is None:
        because = f"undecided, with no end in sight at the observed rates: {score}"
    else:
        because = f"undecided after {n:,} of about {verdict.about(expected)} labels: {score}"
    return paired.Comparison(paired.Finding.UNDECIDED, n, expected, because)


def expected_labels(
    candidate: counts.Tally, champion: counts.Tally, margin: float, alpha: float
) -> int | None:
    """Labels of both arms in all at which `is_not_worse` may be expected, at the observed rates and division.

    None when the observed difference is not below the margin. Both arms need a label.
    """
    n = candidate.n + champion.n
    excess, half = difference(candidate, champion, alpha)
    if excess >= margin - paired.NO_DRIFT:
        return None
    least = math.ceil(LABELS_NEEDED * n / min(candidate.n, champion.n))
    width = half / _width(n, alpha) * math.sqrt(n)

    def is_found(more: int) -> bool:
        labels = n + more
        return labels >= least and excess + width / math.sqrt(labels) * _width(labels, alpha) < margin

    return n + search.first(is_found)


def _width(n: int, alpha: float) -> float:
    """h in standard errors, after n labels."""
    alpha = min(alpha, LARGEST_ALPHA)
    log = -2 * math.log(2 * alpha)
    rho2 = (log + math.log(log + 1)) / TIGHTEST
    grown = n * rho2 + 1
    return math.sqrt(2 * grown / (n * rho2) * math.log1p(math.sqrt(grown) / (2 * alpha)))
