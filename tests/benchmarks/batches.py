"""One large batch against a fast simulator: accepted, taken in, completed; and who waits meanwhile.

Besides the batch this runs plain calls one after another (what an interactive caller feels) and
a second batch of another workspace, and compares both with what they take alone.
"""

import asyncio
import tempfile
import time
from typing import IO, Any

import httpx
import orjson
import sqlalchemy

from broker.accounts import create_key, create_workspace
from tests.benchmarks import meters
from tests.benchmarks.load import Result, load
from tests.installation import KEY, Installation, chat, until

SMALL = 100  # lines of the second workspace's batch
CALLS = 200  # plain calls, one after another


def measured(installation: Installation, lines: int) -> str:
    """Run a batch of so many lines; return the figures as text."""
    other = _other_workspace(installation)
    idle = _plain_calls(installation)
    alone = _small_batch(installation, other)
    before = meters.read(installation)
    with tempfile.TemporaryFile() as file:
        size = _write(file, lines)
        file.seek(0)
        began = time.monotonic()
        batch_id = _create(installation, file)
        accepted = time.monotonic() - began
    until(
        lambda: _look(installation, batch_id)["request_counts"]["completed"] > 0, 60, "nothing runs"
    )
    busy = _plain_calls(installation)
    beside = _small_batch(installation, other)
    peak = _until_ended(installation, batch_id, lines)
    seconds = time.monotonic() - began
    batch = _look(installation, batch_id)
    found = _results(installation, batch)
    cpu = meters.cpu_ms_per_call(before, meters.read(installation), lines)
    return "\n".join(
        [
            (
                f"batch of {lines:,} lines ({size / 1e6:.0f} MB): accepted in {accepted:.1f} s; "
                f"{batch['status']} after {seconds:.0f} s ({lines / seconds:.0f} lines/s); "
                f"{batch['request_counts']}"
            ),
            f"  custom_ids in the output: {len(found):,}, each once: {len(set(found)) == lines}",
            f"  peak MB: {', '.join(f'{part} {memory:.0f}' for part, memory in peak.items())}",
            f"  CPU ms a line: {', '.join(f'{part} {ms:.2f}' for part, ms in cpu.items())}",
            f"  plain call p50/p95 ms: idle {_percentiles(idle)}, beside it {_percentiles(busy)}",
            f"  another workspace's {SMALL} lines: alone {alone:.1f} s, beside it {beside:.1f} s",
        ]
    )


def _write(file: IO[bytes], lines: int) -> int:
    for number in range(lines):
        body = chat("sim", f"What is {number} and {number + 1}?", max_tokens=50)
        file.write(orjson.dumps({"custom_id": f"line-{number}", "body": body}) + b"\n")
    return file.tell()


def _create(
    installation: Installation, file: IO[bytes], headers: dict[str, str] | None = None
) -> str:
    upload = installation.http.post(
        "/files",
        data={"purpose": "batch"},
        files={"file": ("in.jsonl", file)},
        headers=headers,
        timeout=300,
    ).raise_for_status()
    body = {"input_file_id": upload.json()["id"], "endpoint": "/v1/chat/completions"}
    return str(installation.http.post("/batches", json=body, headers=headers).json()["id"])


def _look(
    installation: Installation, batch_id: str, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    found = installation.http.get(f"/batches/{batch_id}", headers=headers, timeout=60)
    return dict(found.raise_for_status().json())


def _until_ended(installation: Installation, batch_id: str, lines: int) -> dict[str, float]:
    """Wait for the batch's end; return the peak memory of each part."""
    peak = dict(meters.read(installation).memory)
    deadline = time.monotonic() + 60 + lines / 20
    while _look(installation, batch_id)["finalized_at"] is None:
        assert time.monotonic() < deadline, _look(installation, batch_id)
        for part, memory in meters.read(installation).memory.items():
            peak[part] = max(peak[part], memory)
        time.sleep(1)
    return peak


def _results(installation: Installation, batch: dict[str, Any]) -> list[str]:
    path = f"/files/{batch['output_file_id']}/content"
    with installation.http.stream("GET", path, timeout=httpx.Timeout(60)) as answer:
        return [orjson.loads(line)["custom_id"] for line in answer.iter_lines()]


def _plain_calls(installation: Installation) -> Result:
    url = f"{installation.url}/chat/completions"
    return asyncio.run(load(url, KEY, chat("sim"), callers=1, calls=CALLS))


def _small_batch(installation: Installation, headers: dict[str, str]) -> float:
    """Return how long a small batch of another workspace takes, in seconds."""
    with tempfile.TemporaryFile() as file:
        _write(file, SMALL)
        file.seek(0)
        began = time.monotonic()
        batch_id = _create(installation, file, headers)
    until(
        lambda: _look(installation, batch_id, headers)["finalized_at"], 600, "the small batch hangs"
    )
    return time.monotonic() - began


def _other_workspace(installation: Installation) -> dict[str, str]:
    engine = sqlalchemy.create_engine(installation.database_url)
    with engine.begin() as connection:
        workspace_id = create_workspace(connection, "other", unlimited=True)
        key = create_key(connection, workspace_id, "other")
    engine.dispose()
    return {"Authorization": f"Bearer {key.key}"}


def _percentiles(result: Result) -> str:
    return f"{result.percentile(0.5):.0f}/{result.percentile(0.95):.0f}"
