"""Read the lines of an input and prepare their jobs. Blocking: run it in a thread."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import orjson

from broker import presets
from broker.accounts import Principal
from broker.batches.line_submission import ReadLine, encode_refusal, refusal
from broker.batches.lines import (
    Line,
    LineError,
    Splitter,
    Target,
    add_defaults,
    digest,
    read,
)
from broker.batches.options import OnError, Options
from broker.batches.rows import BatchRow
from broker.catalog import Catalog
from broker.completion import ErrorType, Json
from broker.dialects.errors import ApiError
from broker.dialects.translation import TRANSLATORS
from broker.enums import Dialect
from broker.errors import WaybillError
from broker.providers.endpoint_stats import NO_SNAPSHOT, Snapshot
from broker.queues import Lane
from broker.requests.operations import Operation
from broker.routing import RoutingContext, cache_affinity
from broker.settings import Settings
from broker.storage.database import Database
from broker.storage.files import FileStore
from broker.storage.files.store import PIECE
from broker.submission import JobOptions, NewJob, response_cache
from broker.submission.admission import admit

GROUP_LINES = 40
GROUP_BYTES = 8_000_000
BAD_REQUEST = 400


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads inputs of batches and prepares jobs of their lines, as of callers' single requests."""

    store: FileStore
    catalog: Catalog
    settings: Settings
    database: Database
    snapshot: Snapshot = NO_SNAPSHOT

    def group(self, batch: BatchRow, principal: Principal) -> list[ReadLine]:
        """Return the next lines of a batch that has lines left to read.

        Raises FileNotFoundError if the input was deleted, or is shorter than it was.
        """
        options = options_of(batch)
        found: list[ReadLine] = []
        begin = batch.cursor
        for raw, end in raw_lines(self.store, batch.input_file_id, batch.cursor):
            found.append(self._line(raw, end, batch, principal, options))
            if len(found) == GROUP_LINES or end - begin > GROUP_BYTES:
                break
        if not found:
            raise FileNotFoundError(f"{batch.input_file_id} ends at {batch.cursor}")
        return found

    def job(self, line: Line, batch: BatchRow, principal: Principal, options: Options) -> NewJob:
        """Return the job of a line. Raises WaybillError."""
        target = _find_target(line, batch)
        line, caller_body = _translate(line, target, options)
        body = self._body(line, target, batch, options)
        return self._job(line, target, body, batch, principal, caller_body)

    def _body(self, line: Line, target: Target, batch: BatchRow, options: Options) -> Json:
        """Return the body of a line: its own fields, then its preset's, then the batch's."""
        if target.operation is not Operation.CHAT:
            return add_defaults(line.body, options)
        own = self._with_preset(line.body, batch)
        return self._with_preset(add_defaults(own, options), batch)

    def _with_preset(self, body: Json, batch: BatchRow) -> Json:
        slug = presets.find_slug(body)
        if slug is None:
            return body
        content = self.database.read_now(presets.get_content, batch.workspace_id, slug)
        return presets.merge(body, content)

    def _job(
        self,
        line: Line,
        target: Target,
        body: Json,
        batch: BatchRow,
        principal: Principal,
        caller_body: Json | None,
    ) -> NewJob:
        options = JobOptions(
            operation=target.operation,
            lane=Lane.BATCH,
            deadline=batch.expires_at,
            webhook=_lines_webhook(batch),
            batch_id=batch.id,
            priority=batch.priority,
            extra={"custom_id": line.custom_id},
            dialect=target.dialect,
            caller_body=caller_body,
            preset=_find_preset(line, target, batch),
            preset_prompt=(
                target.operation is Operation.CHAT and presets.is_prompted(line.body, body)
            ),
        )
        now = RoutingContext(self.snapshot, seed=cache_affinity.derive_seed(batch.id, body))
        job = admit(
            body, options, principal, self.catalog, self.settings, inside="body", context=now
        )
        return job if batch.max_cost_nanos is None else _with_largest_hold(job)

    def _line(
        self, raw: bytes, end: int, batch: BatchRow, principal: Principal, options: Options
    ) -> ReadLine:
        try:
            line = read(raw)
        except LineError as error:
            return ReadLine(end, error.custom_id, error=line_refusal(error, batch.dialect))
        target = _find_target(line, batch)
        try:
            line, caller_body = _translate(line, target, options)
            body = self._body(line, target, batch, options)
            job = self._job(line, target, body, batch, principal, caller_body)
        except WaybillError as error:
            return ReadLine(end, line.custom_id, error=refusal(error, target.dialect))
        same = digest(target, body) if options.dedupe else None
        key = None
        if options.cache_ttl_seconds is not None:
            key = response_cache.build_key(principal, job, variant=line.variant)
        return ReadLine(end, line.custom_id, job, same, dialect=target.dialect, cache_key=key)


def raw_lines(store: FileStore, file_id: str, cursor: int = 0) -> Iterator[tuple[bytes, int]]:
    """Yield the lines of an input from an offset, each with its end. Raises FileNotFoundError."""
    splitter = Splitter(cursor)
    with store.reading(file_id) as file:
        file.seek(cursor)
        pieces = iter(lambda: file.read(PIECE), b"")
        yield from itertools.chain.from_iterable(map(splitter.feed, pieces))
    yield from splitter.end()


def _find_target(line: Line, batch: BatchRow) -> Target:
    return line.target or Target(batch.endpoint, batch.dialect)


def _translate(line: Line, target: Target, options: Options) -> tuple[Line, Json | None]:
    """Return a line with a body in the internal form, and its body in a dialect, if it has one.

    Raises InvalidRequestError that names the field of the body.
    """
    if target.dialect is None:
        return line, None
    given = add_defaults(line.body, replace(options, service_tier=None))
    body = TRANSLATORS[target.dialect].translate(given).body
    return replace(line, body=body), given


def _find_preset(line: Line, target: Target, batch: BatchRow) -> str | None:
    """Return the slug of the preset of a line, or else of its batch."""
    if target.operation is not Operation.CHAT:
        return None
    own = presets.find_slug(line.body)
    return own or presets.find_slug(add_defaults(line.body, options_of(batch)))


def _lines_webhook(batch: BatchRow) -> str | None:
    """Return the batch's webhook if it names events of jobs: then each line has it, too."""
    wanted = orjson.loads(batch.webhook)["events"] if batch.webhook else ()
    return batch.webhook if any(each.startswith("job.") for each in wanted) else None


def _with_largest_hold(job: NewJob) -> NewJob:
    """Return a job that holds the cost of its most expensive plan step.

    A batch with `max_cost` allows no extensions.
    """
    most = max(orjson.loads(job.payload["quotes"]))
    likely = max(job.held_for.least)
    return replace(job, row={**job.row, "hold_nanos": most}, least_nanos=likely)


def options_of(batch: BatchRow) -> Options:
    """Return the options of a batch."""
    stored = orjson.loads(batch.options)
    return Options(**stored | {"on_error": OnError(stored["on_error"])})


def line_refusal(error: LineError, dialect: Dialect | None) -> str:
    """Return why a line could not be read, as it is stored (`encode_refusal`)."""
    metadata = {"error_type": ErrorType.INVALID_REQUEST.value, "reason": error.code}
    return encode_refusal(ApiError(BAD_REQUEST, error.message, metadata, error.param), dialect)
