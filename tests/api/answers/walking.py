"""Calls to every operation of the OpenAPI document, and a record of the answers."""

import sqlite3
import string
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil

from tests.e2e.hooks import Receiver
from tests.installation import Installation, until

Answers = dict[str, dict[str, dict[str, Any]]]
"""By operation, status and media type. Bytes are kept as None."""


BUSY = """
SELECT 1 FROM pg_stat_activity
WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()
"""


class Caller:
    """Somebody with a key. Calling one asks, and keeps the first answer of each kind."""

    def __init__(self, http: httpx.Client, answers: Answers) -> None:
        self.http = http
        self._answers = answers

    def __call__(self, operation: str, **details: Any) -> Any:
        """Ask, and return what was answered.

        `operation` is as in the document, without `/api/v1`. What is named in its path is taken
        from `details`; the rest is the HTTP client's.
        """
        answer = self._ask(operation, details)
        self._keep(operation, answer)
        return _told(answer)

    def until(self, is_so: Callable[[Any], object], operation: str, **details: Any) -> Any:
        """Ask again until the answer is as wanted; keep that one."""

        def found() -> httpx.Response | None:
            answer = self._ask(operation, details)
            return answer if is_so(_told(answer)) else None

        answer = until(found, 30, lambda: f"{operation}: {self._ask(operation, details).text}")
        self._keep(operation, answer)
        return _told(answer)

    def _ask(self, operation: str, details: dict[str, Any]) -> httpx.Response:
        method, path = operation.split()
        names = {name for _, name, _, _ in string.Formatter().parse(path) if name}
        place = path.format(**{name: details[name] for name in names})
        asked = {name: value for name, value in details.items() if name not in names}
        answer = self.http.request(method, base_of(path) + place, **asked)
        assert answer.is_success, f"{operation}: {answer.status_code} {answer.text}"
        return answer

    def _keep(self, operation: str, answer: httpx.Response) -> None:
        method, path = operation.split()
        kept = self._answers.setdefault(f"{method} {base_of(path)}{path}", {})
        by_media = kept.setdefault(str(answer.status_code), {})
        if answer.status_code == httpx.codes.NO_CONTENT:
            return
        media = answer.headers["content-type"].partition(";")[0]
        by_media.setdefault(media, _told(answer))


@dataclass
class Walk:
    """A walk through an installation. Later parts use what earlier ones made."""

    installation: Installation
    receiver: Receiver  # of webhooks
    operator: Caller  # with a management key of the installation
    caller: Caller  # with a key of a workspace, once there is one
    answers: Answers
    made: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def nobody_works(self) -> Iterator[None]:
        """Let no job begin or go on meanwhile: what was just accepted is shown as it was."""
        worker = self.installation.child("worker")
        until(lambda: self._stopped(worker), 10, "something is written all the time")
        try:
            yield
        finally:
            worker.resume()

    def _stopped(self, worker: psutil.Process) -> bool:
        """Stop the worker, unless something is just being written: then nobody else could."""
        worker.suspend()
        if self._is_written():
            worker.resume()
            return False
        return True

    def _is_written(self) -> bool:
        if not self.installation.database_url.startswith("sqlite"):
            return bool(self.installation.ask(BUSY))
        with closing(
            sqlite3.connect(self.installation.data_dir / "waybill.db", timeout=0)
        ) as database:
            try:
                database.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            return False


def base_of(path: str) -> str:
    return "" if path.startswith(("/health", "/metrics")) else "/api/v1"


def _told(answer: httpx.Response) -> Any:
    media = answer.headers.get("content-type", "").partition(";")[0]
    if media == "application/json":
        return answer.json()
    is_text = media.startswith("text/") or media in ("application/jsonl", "application/x-jsonl")
    return answer.text if is_text else None
