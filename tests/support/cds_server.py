"""A local server that speaks the protocol of the Climate Data Store, with the faults a test wants.

Routes, status words and error texts are those of cads-processing-api-service, as the cdsapi client meets them: submit,
accepted, running, successful, failed, rejected, results, results expired, range requests on the file.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support import era5_examples
from tests.support.cds_forms import problem_of
from tests.support.local_server import LocalServer, Quiet

LICENCE = {
    "type": "permission denied", "title": "required licences not accepted", "status": 403,
    "detail": "Not all the required licences have been accepted; please visit "
    "https://cds.climate.copernicus.eu/datasets/reanalysis-era5-single-levels?tab=download#manage-licences "
    "to accept the required licence(s).",
}  # fmt: skip
TOO_LARGE = {
    "type": "permission denied", "title": "cost limits exceeded", "status": 403,
    "detail": "Your request is too large, please reduce your selection.",
}  # fmt: skip
BAD_KEY = {
    "type": "permission denied",
    "title": "authentication failed",
    "status": 401,
    "detail": "operation not allowed",
}
QUEUE_FULL = "Number queued requests for this dataset is temporarily limited. Please configure your scripts accordingly"
NO_DATA = "MARS returned no data, please check your selection."


@dataclass
class Job:
    """A request on its way."""

    dataset: str
    request: dict[str, Any]
    statuses: list[str]
    content: bytes = b""
    reason: str = NO_DATA


@dataclass
class Cut:
    """Send so many bytes of a reply's body, then close the connection."""

    after: int


@dataclass
class Corrupt:
    """Change a byte of the file on its way."""


@dataclass
class CdsServer(LocalServer):
    """Faults: for each route (submit, status, results, file) what happens at its next calls, one after the other.

    An int is that HTTP status, a dict an error of the service (with a key Retry-After: that header), "page" a page of
    a proxy, "silence" no reply at all, None the usual reply. `queue_limit`: jobs that may wait or run at a time.
    `before`: called before a route replies, with the job. `chaos`: one request in five fails, in a way that this draws.
    """

    statuses: list[str] = field(default_factory=lambda: ["accepted", "running", "successful"])
    faults: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    fields_allowed: int | None = None
    queue_limit: int | None = None
    most_queued: int = 0
    answer: Callable[[dict[str, Any]], bytes] = era5_examples.answer
    jobs: dict[str, Job] = field(default_factory=dict)
    submitted: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    before: dict[str, Callable[[Job | None], None]] = field(default_factory=dict)
    ignores_ranges: bool = False
    checksum: str | None = None
    etag_suffix: str = ""
    further_bytes: int = 0
    certificate: Path | None = None
    chaos: random.Random | None = None
    disturbed: int = 0

    def __post_init__(self) -> None:
        self._start(type("Handler", (_Handler,), {"state": self}))

    @property
    def url(self) -> str:
        """Address of the API."""
        return f"{super().url}/api"


class _Handler(Quiet, BaseHTTPRequestHandler):
    state: CdsServer

    def do_GET(self) -> None:
        self._route("GET")

    def do_HEAD(self) -> None:
        self._route("HEAD")

    def do_POST(self) -> None:
        self._route("POST")

    def _disturb(self, route: str) -> None:
        """Let one request in five fail."""
        chaos = self.state.chaos
        if chaos is not None and chaos.random() < 0.2:
            ways = [500, 502, 503, {"title": "slow down", "status": 429, "Retry-After": "0"}]
            further = [Cut(chaos.randrange(8000)), Corrupt()] if route == "file" else ["silence"]
            self.state.faults[route].insert(0, chaos.choice([*ways, *further]))
            self.state.disturbed += 1

    def _route(self, method: str) -> None:
        path = urlsplit(self.path).path  # a proxy is asked for whole addresses
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path == "/api/catalogue/v1/messages":
            return self._json({"messages": []})
        if method == "POST" and (match := re.fullmatch(r"/api/retrieve/v1/processes/([\w-]+)/execution", path)):
            return self._submit(match[1], json.loads(body)["inputs"])
        if match := re.fullmatch(r"/api/retrieve/v1/processes/([\w-]+)", path):
            return self._json({"id": match[1], "links": []})
        if match := re.fullmatch(r"/api/retrieve/v1/jobs/([\w-]+)", path):
            return self._status(match[1])
        if match := re.fullmatch(r"/api/retrieve/v1/jobs/([\w-]+)/results", path):
            return self._results(match[1])
        if match := re.fullmatch(r"/files/([\w-]+)\.nc", path):
            return self._file(match[1], method)
        return self._json({"type": "not found", "title": "not found", "status": 404}, 404)

    def _submit(self, dataset: str, request: dict[str, Any]) -> None:
        self._disturb("submit")
        if self.headers.get("PRIVATE-TOKEN") != "secret":
            return self._json(BAD_KEY, 401)
        self.state.submitted.append((dataset, request))
        if self._fault("submit"):
            return None
        problem = problem_of(dataset, request)
        if problem is not None:
            error = {"type": "invalid request", "title": "invalid request", "status": 400, "detail": problem}
            return self._json(error, 400)
        lists = [request.get(key, [0]) for key in ("variable", "pressure_level", "day", "time")]
        fields = math.prod(map(len, lists))
        if self.state.fields_allowed is not None and fields > self.state.fields_allowed:
            return self._json(TOO_LARGE, 403)
        number = f"job-{len(self.state.jobs)}"
        job = self.state.jobs[number] = Job(dataset, request, list(self.state.statuses))
        queued = sum(other.statuses[0] in ("accepted", "running") for other in self.state.jobs.values())
        if self.state.queue_limit is not None and queued > self.state.queue_limit:
            job.statuses, job.reason = ["rejected"], QUEUE_FULL
        else:
            self.state.most_queued = max(self.state.most_queued, queued)
        return self._json(self._info(number, "accepted", "monitor"), 201)

    def _status(self, number: str) -> None:
        self._disturb("status")
        if self._fault("status", number):
            return None
        job = self.state.jobs.get(number)
        if job is None:
            return self._json({"type": "no such job", "title": "job not found", "status": 404}, 404)
        status = job.statuses.pop(0) if len(job.statuses) > 1 else job.statuses[0]
        return self._json(self._info(number, status, "self"))

    def _results(self, number: str) -> None:
        self._disturb("results")
        if self._fault("results", number):
            return None
        job = self.state.jobs[number]
        if job.statuses[0] in ("failed", "rejected"):
            word = "failed" if job.statuses[0] == "failed" else "been rejected"
            error = {"type": "job results failed", "title": f"The job has {word}", "status": 400}
            return self._json({**error, "traceback": job.reason}, 400)
        job.content = job.content or self.state.answer(job.request)
        asset = {
            "type": "application/netcdf", "href": f"{self._origin()}/files/{number}.nc",
            "file:checksum": self.state.checksum or f"{int(hashlib.md5(job.content).hexdigest(), 16):x}",
            "file:size": len(job.content) + self.state.further_bytes, "file:local_path": f"s3://cci2-prod-cache/{number}.nc",
        }  # fmt: skip
        return self._json({"asset": {"value": asset}})

    def _file(self, number: str, method: str) -> None:
        content = self.state.jobs[number].content
        start, status = 0, 200
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match and not self.state.ignores_ranges:
            start, status = int(match[1]), 206
            if start >= len(content):
                return self._json({"title": "range not satisfiable"}, 416)
        if method == "GET":
            self._disturb("file")
            self.state.ranges.append(self.headers.get("Range", ""))
            if "file" in self.state.before:
                self.state.before["file"](self.state.jobs[number])
        fault = self.state.faults["file"].pop(0) if method == "GET" and self.state.faults["file"] else None
        if isinstance(fault, int):
            return self._json({"title": "fault"}, fault)
        if isinstance(fault, dict):
            return self._json(fault, fault["status"])
        sent = content[start:]
        if isinstance(fault, Corrupt):
            sent = sent[:-1] + bytes([sent[-1] ^ 0xFF])
        self.send_response(status)
        self.send_header("Content-Length", str(len(sent)))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}{self.state.etag_suffix}"')
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if method == "GET":
            if isinstance(fault, Cut):
                self.wfile.write(sent[: fault.after])
                self.wfile.flush()
                self.close_connection = True
                return None
            self.wfile.write(sent)
        return None

    def _fault(self, route: str, number: str = "") -> bool:
        """Reply with the next fault of the route, if there is one."""
        if route in self.state.before:
            self.state.before[route](self.state.jobs.get(number))
        fault = self.state.faults[route].pop(0) if self.state.faults[route] else None
        if fault is None:
            return False
        if fault == "page":
            self._send(b"<html>Please sign in to the hotel's network</html>", "text/html", 200)
        elif isinstance(fault, int):
            self._json({"title": "server error", "status": fault}, fault)
        elif isinstance(fault, dict):
            self._json(fault, fault["status"])
        else:  # no reply at all
            self.close_connection = True
        return True

    def _info(self, number: str, status: str, rel: str) -> dict[str, Any]:
        url = f"{self._origin()}/api/retrieve/v1/jobs/{number}"
        links = [{"rel": rel, "href": url, "type": "application/json"}]
        if status in ("successful", "failed", "rejected"):
            links.append({"rel": "results", "href": f"{url}/results"})
        job = self.state.jobs[number]
        return {
            "processID": job.dataset, "type": "process", "jobID": number, "status": status,
            "created": "2026-11-21T08:00:00", "updated": "2026-11-21T08:00:01", "links": links, "metadata": {},
        }  # fmt: skip

    def _origin(self) -> str:
        return f"{self.state.scheme}://{self.headers['Host']}"

    def _json(self, content: dict[str, Any], status: int = 200) -> None:
        headers = {key: content[key] for key in ("Retry-After",) if key in content}
        self._send(json.dumps(content).encode(), "application/json", status, headers)

    def _send(self, body: bytes, kind: str, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
