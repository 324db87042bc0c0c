import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from broker.accounts import ensure_first_start
from broker.storage.database import Database
from cli.main import app

COST = 0.5


@dataclass
class FakeBatch:
    """A batch: so many of its lines have ended, and some of these only its files tell."""

    id: str
    asked: dict[str, Any]
    lines: list[dict[str, Any]]
    ended: int = 0
    stopped: bool = False

    @property
    def is_over(self) -> bool:
        return self.stopped or self.ended == len(self.lines)

    def view(self, **more: Any) -> dict[str, Any]:
        failed = sum("FAIL" in prompt(line) for line in self.lines[: self.ended])
        status = ("cancelled" if self.stopped else "completed") if self.is_over else "in_progress"
        counts = {
            "total": len(self.lines),
            "completed": self.ended - failed,
            "failed": failed,
            "running": 0,
        }
        return {
            "id": self.id,
            "status": status,
            "request_counts": counts,
            "usage": {"cost": COST * self.ended},
            "errors": None,
            "stop_reason": "cancelled" if self.stopped else None,
            "waits_for": None,
            "output_file_id": f"{self.id}-O",
            "error_file_id": None,
            "complete_until": 5.0,
            "last_line": self.ended,
            "has_more": False,
            **more,
        }

    def results(self, *, whole: bool) -> list[dict[str, Any]]:
        every = [self._result(n, line) for n, line in enumerate(self.lines)]
        return every if whole else every[: self.ended]

    def _result(self, number: int, line: dict[str, Any]) -> dict[str, Any]:
        result = {"custom_id": line["custom_id"], "response": None, "error": {"message": "no"}}
        if number >= self.ended:
            return result
        body: dict[str, Any] = {"model": line["body"]["model"], "usage": {"cost": COST}}
        body["choices"] = [{"message": {"content": prompt(line).upper()}}]
        status = 200
        if "FAIL" in prompt(line):
            status, body = 502, {"error": {"message": "no luck"}}
        response = {"status_code": status, "request_id": f"job-{number}", "body": body}
        return result | {"response": response, "error": None}


def prompt(line: dict[str, Any]) -> str:
    return str(line["body"]["messages"][-1]["content"])


@dataclass
class FakeWaybill:
    """The batches API as far as a client sees it. At each look some more lines have ended."""

    lines_per_look: int = 10
    stop_after: int | None = None  # lines of a batch
    before: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
    after: Callable[[httpx.Request], None] = lambda _: None
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, FakeBatch] = field(default_factory=dict)  # by idempotency key
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        request.read()
        response = self.before(request) or self._answer(request)
        self.after(request)
        return response

    @property
    def asked(self) -> list[str]:
        """The prompts of all batches."""
        return [prompt(line) for each in self.batches.values() for line in each.lines]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1")
        if (request.method, path) == ("POST", "/files"):
            (content,) = re.findall(rb"filename=.*?\r\n\r\n(.*)\r\n--", request.content, re.DOTALL)
            file_id = f"file-{len(self.files)}"
            self.files[file_id] = content
            return httpx.Response(200, json={"id": file_id})
        if request.method == "POST":
            return httpx.Response(200, json=self._create(request).view())
        if path.startswith("/files/"):
            batch = self._find(path.split("/")[2].removesuffix("-O"))
            lines = [json.dumps(each) for each in batch.results(whole=True)]
            return httpx.Response(200, text="".join(f"{each}\n" for each in lines))
        batch = self._find(path.split("/")[2])
        if not batch.stopped:
            batch.ended = min(batch.ended + self.lines_per_look, len(batch.lines))
        if self.stop_after is not None and batch.ended >= self.stop_after:
            batch.ended, batch.stopped = self.stop_after, True
        return httpx.Response(200, json=batch.view(results=batch.results(whole=False)))

    def _create(self, request: httpx.Request) -> FakeBatch:
        key, asked = request.headers["idempotency-key"], json.loads(request.content)
        lines = [json.loads(each) for each in self.files[asked["input_file_id"]].splitlines()]
        made = FakeBatch(f"batch-{len(self.batches)}", asked, lines)
        batch = self.batches.setdefault(key, made)
        assert batch.asked == asked, "another body under the same key"
        return batch

    def _find(self, batch_id: str) -> FakeBatch:
        return next(each for each in self.batches.values() if each.id == batch_id)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `waybill …` on a data directory of its own, without a server."""
    monkeypatch.setenv("WAYBILL_CONFIG", str(tmp_path / "waybill.toml"))
    (tmp_path / "waybill.toml").touch()
    monkeypatch.setenv("WAYBILL_DATA_DIR", str(tmp_path))
    for name in ("WAYBILL_DATABASE_URL", "WAYBILL_SECRET_KEY", "WAYBILL_OLD_SECRET_KEYS"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words, given=None: CliRunner().invoke(app, list(words), input=given)


@pytest.fixture
def database(
    command: object, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Database:
    """The database that commands work on, as it is at the first start."""
    monkeypatch.setenv("WAYBILL_DATABASE_URL", database_url)
    with database.transaction() as connection:
        ensure_first_start(connection, "")
    return database


@pytest.fixture
def waybill() -> FakeWaybill:
    return FakeWaybill()


@pytest.fixture
def failing_first() -> Callable[[int, Callable[[], httpx.Response]], Callable]:
    """Make the first requests fail, whichever way."""

    def build(times: int, trouble: Callable[[], httpx.Response]) -> Callable:
        count = itertools.count(1)
        return lambda _request: trouble() if next(count) <= times else None

    return build
