"""What stands in the way at this moment, in words: pods, Gateway, Prometheus, guards. Called by the phases' findings."""

from datetime import datetime

from modelmend.decide import judge, sentences
from modelmend.decide.case import Case
from modelmend.decide.observed import Server
from modelmend.decide.upkeep import front, servers
from modelmend.evidence.verdict import Verdict


def unready_until(case: Case) -> datetime | None:
    """When the patience with the candidate's pods ends; None while they are ready."""
    since = case.candidate.unready_since
    return None if since is None else since + case.observed.settings.unready_limit


def is_unready_for_too_long(case: Case) -> bool:
    """The candidate's pods had their time."""
    until = unready_until(case)
    return until is not None and case.now >= until


def unready(case: Case) -> str:
    """The sentence for it."""
    limit = int(case.observed.settings.unready_limit.total_seconds())
    return f"{pods(case)} within {limit} s"


def pods(case: Case) -> str:
    """How many of the candidate's pods are ready, and why no more."""
    needed = servers.share(case.candidate, case.spec)
    server = case.candidate_server
    ready = 0 if server is None else server.ready
    counted = f"{ready} of {needed} pods of {case.candidate.version} ready"
    return sentences.joined(counted, _trouble(server))


def holding(case: Case) -> str | None:
    """Why the candidate may not advance now, whatever its numbers say."""
    return _pods_hold(case) or gateway_holds(case)


def gateway_holds(case: Case) -> str | None:
    """The Gateway has not accepted the route as it is."""
    seen = case.observed.front
    if seen.backends is None or seen.accepted:
        return None
    return gateway_refuses(case) or "the Gateway has not accepted the new weights yet"


def share_holds(case: Case, wanted: str) -> str | None:
    """Requests do not go yet where they should."""
    if case.front_is_in_place:
        return None
    if not servers.splits_by_pods(case.spec):
        return f"the route does not yet {wanted}"
    if front.has_its_share(case.status, case.observed):
        return f"the Service does not yet {wanted}"
    champion, spec = case.observed.server(case.stable.version), case.spec
    needed = f"{servers.share(case.candidate, spec)} pods of {case.candidate.version}"
    beside = f"{servers.beside(case.candidate, spec)} of {case.stable.version}"
    ready = 0 if champion is None else champion.ready
    return f"its share needs exactly {needed} beside {beside}, of which {ready} are ready"


def gateway_refuses(case: Case) -> str | None:
    """The Gateway says why it does not accept the route."""
    seen = case.observed.front
    return (
        None
        if seen.accepted or not seen.message
        else f"the Gateway does not accept the route: {seen.message}"
    )


def numbers_hold(case: Case) -> str | None:
    """Nothing may be concluded from the numbers for the candidate."""
    if not case.judgements.fresh:
        return judge.silence_of_prometheus(case.observed)
    return next((guard.because for guard in case.judgements.guards if guard.verdict is not Verdict.OK), None)


def champion_holds(case: Case) -> str | None:
    """The stable version has no ready pod."""
    server = case.observed.server(case.stable.version)
    if front.answers(server):
        return None
    return sentences.joined(f"{case.stable.version} has no ready pod", _trouble(server))


def _pods_hold(case: Case) -> str | None:
    return None if case.candidate_is_ready else pods(case)


def _trouble(server: Server | None) -> str | None:
    return None if server is None else server.trouble
