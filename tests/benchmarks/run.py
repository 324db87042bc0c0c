"""`make bench`: calls through the queue beside direct calls to the same simulator, in one run."""

import argparse
import asyncio
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import uvloop
from rich.console import Console
from rich.table import Table

from tests.benchmarks import batches, deliveries, dialects, meters
from tests.benchmarks.load import Result, load
from tests.installation import KEY, Installation, chat

SYNC = ((1, 400), (16, 2_000), (64, 4_000), (256, 6_000))  # callers, calls
MODELS = '[[models]]\nslug = "sim/{0}"\nendpoints = [{{ provider = "sim", model = "{0}" }}]\n'
EXTRA = "".join(MODELS.format(name) for name in ("sim-tok97-chunk10", dialects.MODEL))
SETTINGS = {"WAYBILL_WORKER_CONCURRENCY": "2000"}

console = Console(width=140)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--webhooks", action="store_true", help="only deliveries of webhooks")
    parser.add_argument("--batch", type=int, metavar="LINES", help="only a batch of LINES lines")
    parser.add_argument("--dialects", action="store_true", help="only calls in the dialects")
    arguments = parser.parse_args()
    uvloop.install()
    console.print(
        f"{platform.machine()}, {psutil.cpu_count()} cores, Python {platform.python_version()}"
    )
    with Installation(SETTINGS, config=EXTRA, batch_workers=1) as installation:
        if arguments.webhooks:
            console.print(deliveries.measured(installation))
            return
        if arguments.batch:
            console.print(batches.measured(installation, arguments.batch))
            return
        if arguments.dialects:
            console.print(dialects.measured(installation))
            return
        sync_calls(installation)
        streams(installation)
        in_flight(installation)


def sync_calls(installation: Installation) -> None:
    """Plain calls at rising concurrency, each beside the same load on the simulator alone."""
    table = Table(
        "callers",
        "jobs/s",
        "p50",
        "p95",
        "p99",
        "over direct p50",
        "p95",
        "p99",
        "CPU ms: api",
        "worker",
        "valkey",
        "peak MB: api",
        "worker",
        "failed",
        title="Plain calls (milliseconds)",
    )
    measure(installation, "sim", callers=16, calls=500)  # warm up
    for callers, calls in SYNC:
        direct = call_directly(installation, "sim", callers=callers, calls=calls)
        result, cpu, peak = measure(installation, "sim", callers=callers, calls=calls)
        over = [result.percentile(share) - direct.percentile(share) for share in (0.5, 0.95, 0.99)]
        table.add_row(
            str(callers), f"{result.rate:.0f}",
            *(f"{result.percentile(share):.1f}" for share in (0.5, 0.95, 0.99)),
            *(f"{each:.1f}" for each in over),
            *(f"{cpu[part]:.2f}" for part in ("api", "worker", "valkey")),
            *(f"{peak[part]:.0f}" for part in ("api", "worker")),
            str(result.failures),
        )  # fmt: skip
    console.print(table)


def streams(installation: Installation) -> None:
    """200 streams of 100 chunks at once, 10 ms apart at the provider."""
    body = {"callers": 200, "calls": 600}
    direct = call_directly(installation, "sim-tok97-chunk10", stream=True, **body)
    result, cpu, peak = measure(installation, "sim-tok97-chunk10", stream=True, **body)
    console.print(
        f"200 streams of 100 chunks: {result.rate:.0f} streams/s (direct {direct.rate:.0f}), p50 "
        f"{result.percentile(0.5):.0f} ms (direct {direct.percentile(0.5):.0f}), CPU ms a stream: "
        f"api {cpu['api']:.1f}, worker {cpu['worker']:.1f}; peak MB: api {peak['api']:.0f}, "
        f"worker {peak['worker']:.0f}; failed {result.failures}"
    )


def in_flight(installation: Installation) -> None:
    """1,000 calls in flight at once in one worker, against a provider that takes two seconds."""
    result, _, peak = measure(installation, "sim-lat2000", callers=1_000, calls=3_000)
    console.print(
        f"1,000 in flight at a 2 s provider: {result.rate:.0f} jobs/s, p50 "
        f"{result.percentile(0.5):.0f} ms, p99 {result.percentile(0.99):.0f} ms, at the provider "
        f"at once {installation.calls()['peak_in_flight']}; peak MB: api {peak['api']:.0f}, worker "
        f"{peak['worker']:.0f}; failed {result.failures}"
    )


def call_directly(
    installation: Installation, native: str, *, callers: int, calls: int, **more: object
) -> Result:
    url = f"http://127.0.0.1:{installation.simulator_port}/v1/chat/completions"
    if more.get("stream"):
        more["stream_options"] = {"include_usage": True}
    body = chat(native, **more) | {"model": native}
    return asyncio.run(load(url, KEY, body, callers=callers, calls=calls))


def measure(
    installation: Installation, native: str, *, callers: int, calls: int, **more: object
) -> tuple[Result, dict[str, float], dict[str, float]]:
    """Return the result with CPU milliseconds per call and peak memory by part."""
    before = meters.read(installation)
    with peak_memory(installation) as peak:
        url = f"{installation.url}/chat/completions"
        result = asyncio.run(load(url, KEY, chat(native, **more), callers=callers, calls=calls))
    return result, meters.cpu_ms_per_call(before, meters.read(installation), calls), peak


@contextmanager
def peak_memory(installation: Installation) -> Iterator[dict[str, float]]:
    peak = meters.read(installation).memory
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for part, memory in meters.read(installation).memory.items():
                peak[part] = max(peak[part], memory)
            time.sleep(0.2)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()


if __name__ == "__main__":
    main()
