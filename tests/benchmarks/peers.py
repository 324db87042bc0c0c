"""`make bench-peers`: Waybill beside LiteLLM, Portkey and other checkouts of Waybill, in one run.

All get the same request and pass it to the same provider, which answers at once. The processes of
the gateways run on one core, the load generator and the provider on another. The gateways take
turns, and the one that is measured is the only one that is not stopped. Figures are medians.
"""

import argparse
import asyncio
import platform
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson
import psutil
import uvloop
from rich.console import Console
from rich.table import Table

from tests.benchmarks import gateways
from tests.benchmarks.gateways import MODEL, Gateway
from tests.benchmarks.load import Request
from tests.benchmarks.sampling import (
    GATEWAY_CORE,
    LOAD_CORE,
    Idle,
    Sample,
    measure,
    measure_idle,
    taking_turns,
)
from tests.benchmarks.upstream import TEXT
from tests.installation import REPOSITORY

IDLE_SECONDS = 10
PEERS = ("waybill", "litellm", "portkey")
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "Say sixteen words."}]}


@dataclass(frozen=True)
class Scenario:
    """A kind of load."""

    callers: int
    stream: bool = False

    @property
    def body(self) -> bytes:
        return orjson.dumps(BODY | {"stream": True} if self.stream else BODY)


PLAIN = tuple(Scenario(callers) for callers in (1, 16, 64))
STREAMS = tuple(Scenario(callers, stream=True) for callers in (1, 16))


Samples = dict[tuple[str, Scenario], list[Sample]]

console = Console(width=160)


def main() -> None:
    arguments = _arguments()
    uvloop.install()
    console.print(
        f"{platform.machine()}, {psutil.cpu_count()} cores, Python {platform.python_version()}, "
        f"stack {arguments.stack}, {arguments.repeat} rounds of {arguments.seconds:g} s"
    )
    with ExitStack() as closing:
        with gateways.on_core(LOAD_CORE):
            upstream_url = closing.enter_context(gateways.upstream())
        with gateways.on_core(GATEWAY_CORE):
            running = _start(arguments, upstream_url, closing)
        direct = Gateway("direct", f"{upstream_url}/chat/completions")
        with gateways.on_core(LOAD_CORE):
            with taking_turns(running):
                idle = {
                    each.name: asyncio.run(measure_idle(each, IDLE_SECONDS)) for each in running
                }
            samples = measure_all([direct, *running], arguments.repeat, arguments.seconds)
    console.print(main_table(samples, [each.name for each in running]))
    console.print(parts_table(samples, idle))
    for line in ratios(samples, [each.name for each in running]):
        console.print(line)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers", description=__doc__)
    parser.add_argument("--only", choices=PEERS, action="append", help="only this gateway")
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="rounds; default 5")
    parser.add_argument("--seconds", type=float, default=3, metavar="S", help="of each; default 3")
    parser.add_argument("--stack", choices=("sqlite", "scale"), default="sqlite")
    parser.add_argument("--batch-workers", type=int, default=0, metavar="N")
    parser.add_argument(
        "--source",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="another checkout of Waybill with its own .venv; can be repeated",
    )
    parser.add_argument("--peers", type=Path, default=REPOSITORY / ".venv/peers", metavar="PATH")
    return parser.parse_args()


def _start(arguments: argparse.Namespace, upstream_url: str, closing: ExitStack) -> list[Gateway]:
    only = arguments.only or PEERS
    running: list[Gateway] = []
    if "litellm" in only:
        running.append(closing.enter_context(gateways.litellm(upstream_url, arguments.peers)))
    if "portkey" in only:
        running.append(closing.enter_context(gateways.portkey(upstream_url, arguments.peers)))
    sources = [*map(Path.resolve, arguments.source), REPOSITORY]
    for source in sources if "waybill" in only else ():
        started = gateways.waybill(
            upstream_url,
            name=f"Waybill {_revision(source)}",
            source=source,
            at_scale=arguments.stack == "scale",
            batch_workers=arguments.batch_workers,
        )
        running.append(closing.enter_context(started))
    return running


def _revision(source: Path) -> str:
    """Return the commit of a checkout, with a sign that it has changes."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    found = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    return found.stdout.strip() or source.name


def measure_all(running: Sequence[Gateway], repeat: int, seconds: float) -> Samples:
    """Measure every gateway in every scenario, in turns."""
    samples: Samples = {}
    usable = [
        (gateway, scenario)
        for scenario in (*PLAIN, *STREAMS)
        for gateway in running
        if _answers(gateway, scenario)
    ]
    with taking_turns(running):
        for _ in range(repeat):
            for gateway, scenario in usable:
                request = Request.post(gateway.url, scenario.body, gateway.headers)
                work = measure(gateway, [request], callers=scenario.callers, seconds=seconds)
                samples.setdefault((gateway.name, scenario), []).append(asyncio.run(work))
    return samples


def _answers(gateway: Gateway, scenario: Scenario) -> bool:
    """Return whether a gateway gives the provider's text back; print why where it does not."""
    headers = {**gateway.headers, "Content-Type": "application/json"}
    answer = httpx.post(gateway.url, content=scenario.body, headers=headers, timeout=60)
    if answer.status_code == 200 and _text(answer.text, stream=scenario.stream) == TEXT:
        return True
    console.print(
        f"{gateway.name} fails with {scenario}: {answer.status_code} {answer.text[:300]!r}"
    )
    return False


def _text(answer: str, *, stream: bool) -> str:
    if not stream:
        return str(orjson.loads(answer)["choices"][0]["message"]["content"])
    lines = [line.removeprefix("data: ") for line in answer.splitlines() if "data: {" in line]
    choices = [choice for line in lines for choice in orjson.loads(line)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def main_table(samples: Samples, names: Sequence[str]) -> Table:
    """Return the comparison: a row for each gateway, and one for the provider without any."""
    table = Table(
        "", "added p50 ms at 1", "req/s at 16", "at 64", "CPU ms per request at 1 / 16 / 64",
        "streams per s at 1 / 16", "CPU ms per stream at 1 / 16", "failed",
        title="One core for each gateway; medians",
    )  # fmt: skip
    for name in ("direct", *names):
        direct, own = samples["direct", PLAIN[0]], samples.get((name, PLAIN[0]), [])
        added = [mine.p50_ms - its.p50_ms for mine, its in zip(own, direct, strict=False)]
        failed = sum(each.failures for scenario in (*PLAIN, *STREAMS)
                     for each in samples.get((name, scenario), []))  # fmt: skip
        table.add_row(
            name,
            f"{statistics.median(added):.2f}" if added else "fails",
            *(_median(samples, name, [scenario], _rate) for scenario in PLAIN[1:]),
            _median(samples, name, PLAIN, _cpu),
            _median(samples, name, STREAMS, _rate),
            _median(samples, name, STREAMS, _cpu),
            str(failed),
        )
    return table


def parts_table(samples: Samples, idle: Mapping[str, Idle]) -> Table:
    """Return the CPU time by process; PostgreSQL and RabbitMQ are not part of a gateway's sum."""
    table = Table(
        "CPU ms by process", "", *(f"at {each.callers}" for each in PLAIN),
        *(f"streams at {each.callers}" for each in STREAMS), "idle, % of a core", "PSS MB",
    )  # fmt: skip
    for name, resting in idle.items():
        known = [each for (of, _), found in samples.items() if of == name for each in found]
        roles = sorted({role for each in known for role in (*each.cpu_ms, *each.server_cpu_ms)})
        for role in roles:
            cells = [
                _median(samples, name, [scenario], lambda each, role=role: _cpu_of(each, role))
                for scenario in (*PLAIN, *STREAMS)
            ]
            percent, megabytes = resting.cpu_percent.get(role), resting.megabytes.get(role)
            cells.append("" if percent is None else f"{percent:.1f}")
            cells.append("" if megabytes is None else f"{megabytes:.0f}")
            table.add_row(name, role, *cells)
    return table


def ratios(samples: Samples, names: Sequence[str]) -> list[str]:
    """Return, in lines, the last gateway's figures divided by those of each other one."""
    lines = []
    for other in names[:-1]:
        quotients = [
            f"{what} {_quotient(samples, (names[-1], other), scenario, value)}"
            for what, scenario, value in (
                ("req/s at 16", PLAIN[1], _rate),
                ("at 64", PLAIN[2], _rate),
                ("CPU per request at 1", PLAIN[0], _cpu),
                ("at 16", PLAIN[1], _cpu),
                ("at 64", PLAIN[2], _cpu),
                ("CPU per stream at 1", STREAMS[0], _cpu),
                ("at 16", STREAMS[1], _cpu),
            )
        ]
        lines.append(f"{names[-1]} ÷ {other}: {', '.join(quotients)}")
    return lines


def _quotient(
    samples: Samples,
    names: tuple[str, str],
    scenario: Scenario,
    value: Callable[[Sample], float],
) -> str:
    """Return the median of the quotients of two gateways' samples of the same round."""
    ours, theirs = (samples.get((name, scenario), []) for name in names)
    found = [value(a) / value(b) for a, b in zip(ours, theirs, strict=False) if value(b)]
    return f"{statistics.median(found):.2f}" if found else "-"


def _rate(sample: Sample) -> float:
    return sample.rate


def _cpu(sample: Sample) -> float:
    return sum(sample.cpu_ms.values())


def _cpu_of(sample: Sample, role: str) -> float:
    return sample.cpu_ms.get(role, 0) + sample.server_cpu_ms.get(role, 0)


def _median(
    samples: Samples,
    name: str,
    scenarios: Sequence[Scenario],
    value: Callable[[Sample], float],
) -> str:
    """Return the medians of one value in these scenarios, separated by slashes."""
    texts = []
    for scenario in scenarios:
        found = [value(each) for each in samples.get((name, scenario), [])]
        middle = statistics.median(found) if found else None
        texts.append("fails" if middle is None else f"{middle:.{0 if middle >= 100 else 2}f}")
    return " / ".join(texts)


if __name__ == "__main__":
    main()
