"""An HTTP server that answers the operator's queries from counters that a test sets.

What a real Prometheus answers is tested with a real one (tests/operator/test_prometheus.py); here only the loop
around it matters.
"""

import json
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Labels = tuple[tuple[str, str], ...]


class FakePrometheus:
    """Counters by family; `count` adds to one."""

    def __init__(self) -> None:
        self.counters: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
        self.scraped: set[tuple[str, str]] = set()
        self.rollouts: set[tuple[str, str, str]] = set()
        """(namespace, model, rollout) whose counters at the begin of any window are known."""
        self.down = False
        self.queries = 0
        self.polls = 0
        """How often the time was asked for, with which every poll begins."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """A killed operator hangs up in the middle."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End."""
        self.server.shutdown()
        self.server.server_close()

    def count(self, family: str, number: float, **labels: str) -> None:
        """Add to a counter."""
        labels = {"process": "p1", "arm": "solo"} | labels
        self.counters[family][tuple(sorted(labels.items()))] += number
        self.scraped.add((labels["namespace"], labels["model"]))

    def labels(
        self, namespace: str, model: str, version: str, rollout: str, *, right: int = 0, wrong: int = 0
    ) -> None:
        """Labelled predictions of one rollout."""
        place = {"namespace": namespace, "model": model, "version": version, "rollout": rollout}
        self.count("modelmend_evidence_total", right, result="right", **place)
        self.count("modelmend_evidence_total", wrong, result="wrong", **place)

    def pairs(self, namespace: str, model: str, version: str, rollout: str, **results: int) -> None:
        """Requests that candidate and champion both answered."""
        place = {"namespace": namespace, "model": model, "version": version, "rollout": rollout}
        for result, number in results.items():
            self.count(
                "modelmend_paired_outcomes_total",
                number,
                result=result,
                arm="canary",
                **place,
            )

    def requests(
        self, namespace: str, model: str, version: str, rollout: str, number: int, code: str = "200"
    ) -> None:
        """Answered requests."""
        self.count(
            "modelmend_requests_total",
            number,
            code=code,
            namespace=namespace,
            model=model,
            version=version,
            rollout=rollout,
        )

    def window(
        self, place: tuple[str, str, str], feature: str, reference: dict[str, int], **rows: int
    ) -> None:
        """What every window of a rollout (namespace, model, rollout) counts, and what its model was fitted on."""
        labels = dict(zip(("namespace", "model", "rollout"), place, strict=True)) | {"feature": feature}
        whole = sum(reference.values()) + len(reference) / 2
        for family in ("modelmend_feature_bins_total", "modelmend_reference_bin_fraction"):
            self.counters.pop(family, None)
        self.counters["modelmend_reference_rows"][tuple(labels.items())] = sum(reference.values())
        for name, number in reference.items():
            where = tuple((labels | {"bin": name}).items())
            self.counters["modelmend_reference_bin_fraction"][where] = (number + 0.5) / whole
            self.counters["modelmend_feature_bins_total"][where] = rows[name]
        self.rollouts.add(place)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """One query."""
        self.queries += 1
        query = parse_qs(urlsplit(handler.path).query).get("query", [""])[0]
        now = time.time()
        if query == "vector(time())":
            self.polls += 1
            found: list[tuple[dict[str, str], float]] = [({}, now)]
        elif "modelmend_model_info" in query and "offset" in query:
            names = ("namespace", "model", "rollout")
            found = [(dict(zip(names, place, strict=True)), 1.0) for place in self.rollouts]
        elif "modelmend_model_info" in query:
            found = [({"namespace": namespace, "model": model}, 1.0) for namespace, model in self.scraped]
        else:
            family = next((family for family in list(self.counters) if family in query), None)
            found = [
                (dict(labels), value) for labels, value in list(self.counters.get(family or "", {}).items())
            ]
        result = [{"metric": labels, "value": [now, str(value)]} for labels, value in found]
        body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()
        handler.send_response(503 if self.down else 200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
