"""Forecast the cost and the duration of a batch without running it. Blocking."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
from sqlalchemy import Connection, func, select

from broker.accounts import Principal
from broker.batches.creation import NewBatch
from broker.batches.lines import LineError, read
from broker.batches.reading import Reader, options_of, raw_lines
from broker.batches.rows import BatchRow
from broker.completion import Json
from broker.errors import WaybillError
from broker.money import usd
from broker.providers.configuration import load_providers
from broker.storage.database import Database
from broker.storage.tables import Generation, table
from broker.submission import NewJob

LISTED = 100
UNKNOWN_SECONDS = 3.0  # a call's, where nothing is known of the model
LOOKED_AT = 500  # of a provider's latest answers
CALLS = 8  # in flight, for a provider that is configured no longer

_generations = table(Generation)


@dataclass(slots=True)
class _Sums:
    lines: int = 0
    valid: int = 0
    likely_nanos: int = 0
    most_nanos: int = 0
    per_model: "Counter[str]" = field(default_factory=Counter)
    most_per_model: "Counter[str]" = field(default_factory=Counter)
    per_provider: "Counter[str]" = field(default_factory=Counter)
    problems: list[Json] = field(default_factory=list)


def forecast(database: Database, reader: Reader, new: NewBatch, principal: Principal) -> Json:
    """Prepare every line without running it; return counts, problems, costs and a duration.

    `cost.most` is an upper bound: the price of the longest answers at the most expensive endpoint
    of each line. A `max_cost` of `cost.cap` never makes a line wait. The duration follows from
    how long the providers' latest answers took and how many calls each may have in flight.
    """
    sums = _Sums()
    batch = new.row
    options = options_of(batch)
    for raw, _ in raw_lines(reader.store, batch.input_file_id):
        sums.lines += 1
        try:
            _count(sums, reader.job(read(raw), batch, principal, options))
        except LineError as error:
            _list(sums, error.code, error.message, error.param)
        except WaybillError as error:
            _list(sums, error.error_type.value, error.message, error.param)
    typical = database.read_now(typical_seconds, list(sums.per_provider))
    return {
        "object": "batch.forecast",
        "dry_run": True,
        "request_counts": {
            "total": sums.lines,
            "valid": sums.valid,
            "invalid": sums.lines - sums.valid,
        },
        "errors": {"object": "list", "data": sums.problems},
        "cost": {
            "likely": usd(sums.likely_nanos),
            "most": usd(sums.most_nanos),
            "cap": usd(sums.most_nanos),
        },
        "models": {
            model: {"requests": count, "most": usd(sums.most_per_model[model])}
            for model, count in sums.per_model.items()
        },
        "estimated_seconds": round(_seconds(sums, typical, reader, batch), 1),
    }


def _count(sums: _Sums, job: NewJob) -> None:
    held, model = max(orjson.loads(job.payload["quotes"])), job.row["model"]
    sums.valid += 1
    sums.likely_nanos += max(job.held_for.least)
    sums.most_nanos += held
    sums.per_model[model] += 1
    sums.most_per_model[model] += held
    sums.per_provider[job.provider] += 1


def _list(sums: _Sums, code: str, message: str, param: str | None) -> None:
    if len(sums.problems) < LISTED:
        sums.problems.append({"code": code, "line": sums.lines, "message": message, "param": param})


def typical_seconds(connection: Connection, providers: list[str]) -> dict[str, float]:
    """Return how long each provider's latest answers took, on average."""
    found = {}
    for provider in providers:
        latest = (
            select(_generations.c.duration_ms)
            .where(_generations.c.provider == provider)
            .order_by(_generations.c.id.desc())
            .limit(LOOKED_AT)
            .subquery()
        )
        average = connection.execute(select(func.avg(latest.c.duration_ms))).scalar()
        if average is not None:
            found[provider] = float(average) / 1000
    return found


def _seconds(sums: _Sums, typical: Mapping[str, float], reader: Reader, batch: BatchRow) -> float:
    known = load_providers(reader.settings)
    slowest = 0.0
    for provider, count in sums.per_provider.items():
        calls = known[provider].limits.max_concurrency if provider in known else CALLS
        calls = min(calls, batch.max_concurrency or calls, count)
        slowest = max(slowest, count / calls * typical.get(provider, UNKNOWN_SECONDS))
    return slowest
