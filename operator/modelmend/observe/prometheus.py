"""A few queries that answer for the whole fleet, however many ModelDeployments there are.

    evidence    sum by (…, result) (max by (…, arm, result, predicted, actual) (last_over_time(modelmend_evidence_total[L])))
                and where a signal is about single classes, the sum by predicted and actual class too
    pairs       the same of modelmend_paired_outcomes_total
    errors      the same of modelmend_errors_total, which only models of numbers have
    requests    the same of modelmend_requests_total, by code
    latency     the same of the histogram's count, and of the few buckets that somebody's guard needs
    mapped      the counters of servers of the users' own (`mapped`); if this fails, the others' are still taken
    scraped     time() - max by (namespace, model) (timestamp(modelmend_model_info))
    time        vector(time()): all others are asked about this one moment, so that they fit together
    windows     bins or sums of a few models whose window has ended (`histograms`, `sums`)

and, by a source of its own so that nobody waits for it, what signals of type Query ask (`queries`).

`max` first, since two Prometheus replicas or two scrape jobs show one counter twice; then `sum` over the arms of a
process. All or nothing: a poll whose second query fails is no poll, and no ledger moves. Time, size and content are
bounded, since whoever runs Prometheus is not whoever runs us. The URL, the headers and the CA come from the
operator's configuration alone.
"""

import asyncio
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import orjson
import prometheus_api_client.exceptions
import requests
from urllib3.util import Retry

from modelmend.contract import metrics
from modelmend.evidence import confusion, ledger, watch
from modelmend.observe import answers, histograms, mapped, questions, sums

LOOKBACK: Final = 300.0
"""Seconds: several scrapes, so that one that failed hides nothing."""
LONGEST_LOOKBACK: Final = 86_400.0
"""Seconds: so far back the last words of pods are looked for that died while we were away."""
PATIENCE: Final = 6.0
"""Timeouts of one query that a whole poll may last."""
WINDOWS_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of one answer about bins; it takes eight times as much to read, and fewer models can be asked about."""
MOST: Final = 2.0**53
"""No counter of ours comes so far; above it, floats are no whole numbers any more."""
_RESULTS: Final = {
    metrics.EVIDENCE: frozenset(metrics.Evidence),
    metrics.PAIRED_OUTCOMES: frozenset(metrics.Paired),
    metrics.ERRORS: frozenset(metrics.Errors),
}
_FAULTS: Final = frozenset({"bad_data", "execution", "timeout", "canceled"})
"""Prometheus's types of errors that are about one query."""
_PLACE_IN_QUERY: Final = re.compile(r"^[0-9]+:[0-9]+: ")
"""Line and column: of a query as we send it, which nobody else has seen."""
_Found = TypeVar("_Found")
_IDENTITY: Final = ("namespace", metrics.MODEL, metrics.VERSION, metrics.ROLLOUT, metrics.PROCESS)


@dataclass(frozen=True, slots=True)
class Source:
    """Where Prometheus is, and how it is asked."""

    url: str
    headers_file: Path | None = None
    """Lines of `Name: value`, read again whenever the file changes: tokens expire."""
    ca_file: Path | None = None
    timeout: float = 10.0
    """Seconds for one query, the whole answer included."""
    limit: int = 64 * 1024 * 1024
    """Bytes of one answer."""
    token_file: Path | None = None
    """A bearer token alone, as a person at a terminal has it; read again for each query."""

    @property
    def host(self) -> str:
        """For sentences: without a user name or a password that may stand in the URL."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


class Unanswered(Exception):
    """A poll that failed; the text is one sentence."""

    def __init__(self, sentence: str, *, was_too_much: bool = False, fault: str | None = None) -> None:
        super().__init__(sentence)
        self.was_too_much = was_too_much
        """Too slow, too large or refused: a smaller question may be answered."""
        self.fault = fault
        """What was wrong with the question, as far as anybody can say; None when Prometheus itself is in trouble."""


class Prometheus:
    """Asks in a thread of its own, one poll at a time. `of`: about this model alone; None: about the whole fleet."""

    def __init__(self, source: Source, of: answers.Key | None = None, *, by_post: bool = False) -> None:
        """`by_post`: for queries too long for a URL."""
        self._source = source
        self._of = () if of is None else (f'namespace="{of[0]}"', f'{metrics.MODEL}="{of[1]}"')
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prometheus")
        self._running: asyncio.Future[Any] | None = None
        self._closed = False
        self._session = _BoundedSession(source)
        self._client = prometheus_api_client.PrometheusConnect(
            url=source.url.rstrip("/"),
            retry=Retry(0, read=False, redirect=False),  # The next poll is the retry.
            session=self._session,
            method="POST" if by_post else "GET",
        )

    async def poll(
        self,
        lookback: float,
        bounds: Iterable[float],
        *,
        by_class: bool = False,
        own: Mapping[answers.Key, mapped.Wanted] | None = None,
    ) -> answers.Answer:
        """The last values of all counters, no older than `lookback` seconds, and of these latency buckets; labels also by
        predicted and actual class, if wanted. `own`: models with servers of the users' own.

        Raises Unanswered; at last after PATIENCE, whatever the thread waits for (no timeout ends a look-up of a name).
        """
        return await self._in_thread(lambda: self._poll(lookback, frozenset(bounds), by_class, own or {}))

    async def windows(self, question: questions.Question) -> Mapping[answers.Place, watch.Window]:
        """What was counted in a window that has ended. Raises Unanswered as `poll` does."""
        return await self._in_thread(lambda: self._windows(question))

    async def vector(self, query: str, patience: float, limit: int) -> list[tuple[Mapping[str, str], float]]:
        """Labels and value of each series of any query, now. `patience`: seconds that Prometheus may take for it;
        `limit`: bytes of its answer. Raises Unanswered as `poll` does."""
        return await self._in_thread(lambda: self._vector(query, patience, limit))

    async def _in_thread(self, ask: Callable[[], _Found]) -> _Found:
        host, patience = self._source.host, PATIENCE * self._source.timeout
        if self._running is not None and not self._running.done():
            raise Unanswered(f"Prometheus at {host} has not answered the poll before", was_too_much=True)
        running = asyncio.get_running_loop().run_in_executor(self._thread, ask)
        self._running = running
        running.add_done_callback(_forget)
        try:
            async with asyncio.timeout(patience):
                return await asyncio.shield(running)
        except TimeoutError:
            sentence = f"Prometheus at {host} did not answer a poll within {patience:g} s"
            raise Unanswered(sentence, was_too_much=True) from None

    def close(self) -> None:
        """No poll any more; one that runs ends with its present query."""
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _poll(
        self,
        lookback: float,
        bounds: frozenset[float],
        by_class: bool,
        own: Mapping[answers.Key, mapped.Wanted] = MappingProxyType({}),
    ) -> answers.Answer:
        answer = answers.Answer(at=self._clock())
        self._session.warnings.clear()
        answer.moment = self._moment()
        window = f"[{max(math.ceil(lookback), 1)}s]"
        self._ask_evidence(answer, window, by_class)
        for family in (metrics.PAIRED_OUTCOMES, metrics.ERRORS):
            query = _counters(self._series(family), window, metrics.RESULT)
            for labels, value in self._ask(answer, query, (*_IDENTITY, metrics.RESULT)):
                if labels[metrics.RESULT] in _RESULTS[family]:
                    _add(answer.counters, labels, labels[metrics.RESULT], value)
        for labels, value in self._ask(
            answer,
            _counters(self._series(metrics.REQUESTS), window, metrics.CODE),
            (*_IDENTITY, metrics.CODE),
        ):
            result = ledger.FAILED if labels[metrics.CODE].startswith("5") else ledger.ANSWERED
            _add(answer.counters, labels, result, value)
        if bounds:
            self._ask_latency(answer, window, bounds)
        newest = f"max by (namespace, {metrics.MODEL}) (timestamp({self._series(metrics.MODEL_INFO)}))"
        scraped = f"clamp_min(time() - {newest}, 0)"
        for labels, age in self._ask(answer, scraped, ("namespace", metrics.MODEL)):
            answer.scraped[labels["namespace"], labels[metrics.MODEL]] = max(answer.at - age, 0.0)
        if own:
            self._ask_mapped(answer, window, own)
        answer.warnings = tuple(sorted(self._session.warnings))
        return answer

    def _ask_evidence(self, answer: answers.Answer, window: str, by_class: bool) -> None:
        """Results always, since older servers tell no more; of one series of classes, `max` must not choose."""
        classes = (metrics.PREDICTED, metrics.ACTUAL)
        shown = (metrics.RESULT, *(classes if by_class else ()))
        query = _counters(self._series(metrics.EVIDENCE), window, *shown, within=() if by_class else classes)
        needed = (*_IDENTITY, metrics.RESULT)
        for labels, value in self._ask(answer, query, needed, classes if by_class else ()):
            result = labels[metrics.RESULT]
            if result not in _RESULTS[metrics.EVIDENCE]:
                continue
            _add(answer.counters, labels, result, value)
            predicted, actual = (labels.get(name, "") for name in classes)
            if not (predicted or actual):
                continue
            if result == metrics.Evidence.WRONG and predicted == actual:
                predicted = confusion.ELSE  # Beyond what a server counts apart, both have one name.
            _add(answer.counters, labels, confusion.result_name(predicted, actual), value)

    def _ask_mapped(
        self, answer: answers.Answer, window: str, own: Mapping[answers.Key, mapped.Wanted]
    ) -> None:
        """One user's counter with a million series is the trouble of those who have counters of their own."""
        try:
            for labels, age in self._ask(answer, mapped.SCRAPED, ("namespace", mapped.MODEL)):
                answer.scraped[labels["namespace"], labels[mapped.MODEL]] = max(answer.at - age, 0.0)
            mapped.read(
                own,
                window,
                lambda query, needed, more: self._ask(answer, query, needed, more),
                answer.counters,
            )
        except Unanswered as error:
            answer.unread = f"counters of servers of the users' own were not read: {error}"

    def _windows(self, question: questions.Question) -> Mapping[answers.Place, watch.Window]:
        answer = answers.Answer(at=time.time(), moment=f"{question.end:.3f}")
        self._session.limit = min(WINDOWS_LIMIT, self._source.limit)
        try:
            reader = histograms.read if question.kind.is_binned else sums.read
            return reader(question, lambda query, needed: self._ask(answer, query, needed))
        finally:
            self._session.limit = self._source.limit

    def _vector(self, query: str, patience: float, limit: int) -> list[tuple[Mapping[str, str], float]]:
        self._session.limit = limit
        self._session.warnings.clear()
        # Prometheus gives up before we hang up, and says so.
        seconds = min(patience, self._source.timeout / 2)
        found: list[tuple[Mapping[str, str], float]] = []
        for sample in self._samples(query, {"timeout": f"{max(round(seconds * 1000), 1)}ms"}):
            try:
                found.append((dict(sample["metric"]), float(sample["value"][1])))
            except (KeyError, TypeError, ValueError, IndexError):
                host = self._source.host
                raise Unanswered(f"Prometheus at {host} answers with something else: no vector") from None
        return found

    def _ask_latency(self, answer: answers.Answer, window: str, bounds: frozenset[float]) -> None:
        for labels, value in self._ask(
            answer, _counters(self._series(f"{metrics.REQUEST_DURATION}_count"), window), _IDENTITY
        ):
            _add(answer.counters, labels, ledger.TIMED, value)
        # Prometheus 3 writes le="1.0", Prometheus 2 what the client wrote: the bound is matched as text.
        spelt = {text: bound for bound in sorted(bounds) for text in (f"{bound}", f"{bound:g}")}
        texts = "|".join(re.escape(text).replace("\\", "\\\\") for text in spelt)
        bucket = self._series(f"{metrics.REQUEST_DURATION}_bucket", f'le=~"{texts}"')
        query = _counters(bucket, window, "le")
        for labels, value in self._ask(answer, query, (*_IDENTITY, "le")):
            if (bound := spelt.get(labels["le"])) is not None:
                answer.buckets[bound][_place(labels)][labels[metrics.PROCESS]] = value

    def _ask(
        self, answer: answers.Answer, query: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()
    ) -> Iterator[tuple[Mapping[str, str], float]]:
        """Samples that are sensible numbers and have all their labels, each once; the rest is counted."""
        given: set[tuple[str, ...]] = set()
        for sample in self._samples(query, {"time": answer.moment}):
            try:
                labels, (_, text) = sample["metric"], sample["value"]
                value, place = float(text), tuple(labels[name] for name in needed)
                more = tuple(labels.get(name, "") for name in optional)
            except (KeyError, TypeError, ValueError):
                answer.dropped += 1
                continue
            sound = all(isinstance(label, str) and label for label in place) and 0 <= value < MOST
            sound = sound and all(isinstance(label, str) for label in more)
            place += more
            if not sound or place in given:
                answer.dropped += 1
                continue
            given.add(place)
            yield labels, value

    def _series(self, name: str, *matchers: str) -> str:
        """A selector, of this model alone if there is one."""
        chosen = (*self._of, *matchers)
        return f"{name}{{{','.join(chosen)}}}" if chosen else name

    def _clock(self) -> float:
        return time.time()

    def _moment(self) -> str:
        try:
            ((_, text),) = (sample["value"] for sample in self._samples("vector(time())", {}))
            float(text)
        except (KeyError, TypeError, ValueError):
            raise Unanswered(
                f"Prometheus at {self._source.host} answers with something else: no time"
            ) from None
        return str(text)

    def _samples(self, query: str, parameters: dict[str, str]) -> list[Any]:
        return self._called(lambda: self._client.custom_query(query, params=parameters))

    def _called(self, call: Callable[[], Any]) -> list[Any]:
        """What the client's call brings; Unanswered whatever goes wrong."""
        host = self._source.host
        if self._closed:
            raise Unanswered("the operator ends")
        try:
            self._client.headers = self._session.fresh_headers()
            found = call()
        except _TooMuch as error:
            raise Unanswered(f"Prometheus at {host}: {error}", was_too_much=True, fault=str(error)) from None
        except prometheus_api_client.exceptions.PrometheusApiClientException as error:
            sentence = f"Prometheus at {host} refuses the query: {_short(error)}"
            raise Unanswered(sentence, was_too_much=True, fault=self._session.fault) from None
        except requests.Timeout:
            silence = f"did not answer within {self._source.timeout:g} s"
            sentence = f"Prometheus at {host} {silence}"
            raise Unanswered(sentence, was_too_much=True, fault=f"Prometheus {silence}") from None
        except requests.RequestException as error:
            raise Unanswered(f"Prometheus at {host} cannot be reached: {type(error).__name__}") from None
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise Unanswered(f"Prometheus at {host} answers with something else: {_short(error)}") from None
        if not isinstance(found, list):
            raise Unanswered(f"Prometheus at {host} answers with something else: no vector")
        return found


class _TooMuch(Exception):
    """An answer beyond its limits."""


class _BoundedSession(requests.Session):
    """A session whose answers are bounded in time and size, whatever the server does."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.trust_env = False  # A proxy or a .netrc of the pod would carry the token elsewhere.
        self._source = source
        self.limit = source.limit
        self._headers_at: float | None = None
        self._headers: dict[str, str] = {}
        self.warnings: set[str] = set()
        self.fault: str | None = None
        """What Prometheus said was wrong with the last query that it refused."""
        if source.ca_file is not None:
            self.verify = str(source.ca_file)

    def fresh_headers(self) -> dict[str, str]:
        """The headers as their file has them now."""
        file = self._source.headers_file
        if file is not None and (at := file.stat().st_mtime) != self._headers_at:
            lines = (line.partition(":") for line in file.read_text().splitlines() if ":" in line)
            self._headers = {name.strip(): value.strip() for name, _, value in lines}
            self._headers_at = at
        if (token := self._source.token_file) is not None:
            return {**self._headers, "Authorization": f"Bearer {token.read_text().strip()}"}
        return self._headers

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """As requests does it; the body is read here."""
        deadline = time.monotonic() + self._source.timeout
        kwargs |= {"stream": True, "allow_redirects": False, "timeout": self._source.timeout}
        if kwargs.get("method") == "POST":
            kwargs["data"] = kwargs.pop("params")  # The client puts them into the URL nevertheless.
        response = super().request(*args, **kwargs)
        with response:
            parts, size = [], 0
            for part in response.iter_content(65_536):
                size += len(part)
                if size > self.limit:
                    raise _TooMuch(f"the answer is larger than {self.limit // 1024 // 1024} MiB")
                if time.monotonic() > deadline:
                    raise _TooMuch(f"the answer was not complete within {self._source.timeout:g} s")
                parts.append(part)
        content = b"".join(parts)
        response._content = content if response.status_code == 200 else content[:300]
        self.fault = None if response.status_code == 200 else _fault(content)
        response.json = lambda **_: self._parsed(content)  # type: ignore[method-assign]
        return response

    def _parsed(self, content: bytes) -> Any:
        found = orjson.loads(content)
        if isinstance(found, dict) and isinstance(said := found.get("warnings"), list):
            self.warnings |= {_short(warning) for warning in said}
        return found


def _counters(selector: str, window: str, *extra: str, within: tuple[str, ...] = ()) -> str:
    """By the labels `extra`; `within`: further labels that tell one counter from another."""
    by = ", ".join((*_IDENTITY, *extra))
    each = ", ".join((by, *within, metrics.ARM))
    return f"sum by ({by}) (max by ({each}) (last_over_time({selector}{window})))"


def _place(labels: Mapping[str, str]) -> answers.Place:
    return labels["namespace"], labels[metrics.MODEL], labels[metrics.ROLLOUT]


def _add(
    counters: dict[answers.Place, dict[str, dict[str, float]]],
    labels: Mapping[str, str],
    result: str,
    value: float,
) -> None:
    results = counters[_place(labels)][labels[metrics.PROCESS]]
    results[result] = results.get(result, 0.0) + value


def _forget(ended: asyncio.Future[Any]) -> None:
    """A poll that nobody waits for any more may fail as it likes."""
    if not ended.cancelled():
        ended.exception()


def _fault(content: bytes) -> str | None:
    """Prometheus's own words on a query; None when somebody else answers, such as a proxy."""
    try:
        found = orjson.loads(content)
        kind, said = found["errorType"], found["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    if kind not in _FAULTS or not isinstance(said, str):
        return None
    return _short(_PLACE_IN_QUERY.sub("", said.removeprefix('invalid parameter "query": ')))


def _short(error: object) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:199] + "…"
