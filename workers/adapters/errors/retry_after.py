"""Reading of the time to wait before a retry, from the headers or the body of an answer.

Sources: RFC 9110 section 10.2.3 (Retry-After); OpenAI's, Groq's, Cerebras', Together's and Azure's
`x-ratelimit-reset*`; Anthropic's `anthropic-ratelimit-*-reset`; Google's `RetryInfo.retryDelay`.

A reset has one of two meanings. In a window (OpenRouter, Cerebras, Together, the IETF's draft) the
limit is available again at that moment. In a bucket (OpenAI, Groq, Azure, Anthropic: limits named
`requests` or `tokens`) it is full again then. A call may succeed much sooner, so one is tried.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|[dhms])")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|us|µs|[dhms]))+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?")
_RESET = re.compile(r"rate-?limit.*reset|^x-rate-?limit-reset|ratelimit.*-reset")
_PROSE = re.compile(
    r"(?:try again|retry|available|wait)(?: your request)?(?: in| after| for)?:? *(?:about )?"
    r"(\d+(?:\.\d+)?) ?(ms|milliseconds?|seconds?|secs?|minutes?|mins?|hours?|days?|[dhms])"
    r"((?:\d+(?:\.\d+)?(?:ms|[hms]))*)\b"
    r"(?:,? (?:and )?(\d+(?:\.\d+)?) ?(minutes?|mins?|m|seconds?|secs?|s)\b)?",
)
_FIELD = re.compile(
    r'"retry[_-]?after(?P<unit>[_-]?(?:ms|milliseconds|s|secs?|seconds))?"\s*:\s*"?'
    r'(?P<amount>\d+(?:\.\d+)?(?:ms|s)?)"?\s*[,}]',
    re.IGNORECASE,
)
_QUOTED_HEADER = re.compile(
    r'"(x-ratelimit-(?:reset|remaining)[a-z-]*)"\s*:\s*"?([^",}]{1,40})', re.IGNORECASE
)
_RETRY_DELAY = re.compile(r'"retryDelay"\s*:\s*"([^"]{1,40})"')
_BUCKET = re.compile(
    r"x-ratelimit-(reset|remaining|limit)-(requests|tokens)"
    r"|anthropic-ratelimit-[a-z-]+-(reset|remaining|limit)"
)
TRY_REFUSED = 15.0
"""Seconds to wait after a bucket refused a call, where it does not state fewer."""
TRY_EMPTY = 2.0
"""Seconds to wait for a bucket that is empty but has refused no call."""
_EPOCH_SECONDS = 1e9  # a number this large is a point in time
_EPOCH_MILLISECONDS = 1e12


def retry_after(
    headers: Mapping[str, str], text: str, *, limited: bool, now: datetime | None = None
) -> float | None:
    """Return the seconds to wait, or None where the provider states none.

    Every answer reports rate limit windows, so they count only when `limited`.
    """
    moment = now or datetime.now(UTC)
    lowered = {name.lower(): value for name, value in headers.items()}
    stated = _milliseconds(lowered.get("retry-after-ms"))
    if stated is None:
        stated = seconds(lowered.get("retry-after", ""), moment)
    if stated is None:
        stated = _from_body(text, moment)
    if stated is None and limited:
        stated = _from_windows(lowered, moment)
    if stated is None and limited:
        # OpenRouter repeats the headers of the limit that was hit in `metadata.headers`.
        quoted = {name.lower(): value for name, value in _QUOTED_HEADER.findall(text)}
        stated = _from_windows(quoted, moment)
    return stated


def until_reset(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds until a used-up limit is available again, by any answer's headers.

    None where no limit that the provider reports is used up.
    """
    spent = [
        name for name, value in headers.items() if value == "0" and "remaining" in name.lower()
    ]
    if not spent or not any("ratelimit" in name.lower().replace("-", "") for name in spent):
        return None
    moment = now or datetime.now(UTC)
    lowered = {name.lower(): value for name, value in headers.items()}
    waits = [_until_call(lowered, name, moment, TRY_EMPTY) for name in spent]
    return max((wait for wait in waits if wait is not None), default=None)


def _until_call(
    headers: Mapping[str, str], remaining: str, now: datetime, most: float
) -> float | None:
    """Return the seconds until a call may be sent, by the reset of the limit with this header.

    A bucket of requests gains one request in its reset divided by its limit. The need of the next
    call from another bucket is unknown, so a call is tried after at most `most` seconds.
    """
    name = remaining.lower().replace("remaining", "reset")
    wait = seconds(headers.get(name, ""), now)
    if wait is None or not _BUCKET.fullmatch(name):
        return wait
    limit = seconds(headers.get(name.replace("reset", "limit"), ""), now)
    if "request" in name and limit and limit >= 1:
        return wait / limit
    return min(wait, most)


def seconds(value: str, now: datetime) -> float | None:
    """Read a wait: `12`, `1.5s`, `6ms`, `1m2.5s`, an ISO or HTTP date, or an epoch moment."""
    value = value.strip().strip('"')
    if _NUMBER.fullmatch(value):
        return _number(float(value), now)
    if _DURATION.fullmatch(value):
        return sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(value))
    moment = _moment(value)
    return max(0.0, (moment - now).total_seconds()) if moment else None


def _number(value: float, now: datetime) -> float | None:
    if not math.isfinite(value):
        return None
    if value >= _EPOCH_MILLISECONDS:
        value /= 1000
    if value >= _EPOCH_SECONDS:
        return max(0.0, value - now.timestamp())
    return value


def _moment(value: str) -> datetime | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(value)
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def _milliseconds(value: str | None) -> float | None:
    value = (value or "").strip()
    if not _NUMBER.fullmatch(value) or not math.isfinite(float(value)):
        return None
    return float(value) / 1000


def _from_body(text: str, now: datetime) -> float | None:
    # Google says both, and rounds the first one down.
    waits = (_delay(text, now), _field(text, now), _spoken(text, now))
    return max((wait for wait in waits if wait is not None), default=None)


def _delay(text: str, now: datetime) -> float | None:
    found = _RETRY_DELAY.search(text)
    return seconds(found[1], now) if found else None


def _field(text: str, now: datetime) -> float | None:
    found = _FIELD.search(text)
    if found is None:
        return None
    if "m" in (found["unit"] or "").lower():
        return _milliseconds(found["amount"])
    return seconds(found["amount"], now)


def _spoken(text: str, now: datetime) -> float | None:
    found = _PROSE.search(text.lower())
    if found is None:
        return None
    amount, unit, rest, second_amount, second_unit = found.groups()
    unit = unit if unit in _UNITS else "ms" if unit.startswith("mil") else unit[0]
    second = float(second_amount) * _UNITS[second_unit[0]] if second_amount else 0.0
    return float(amount) * _UNITS[unit] + (seconds(rest, now) or 0.0) + second


def _from_windows(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the wait for the limits that are used up, or for the one that opens first."""
    waits: list[float] = []
    spent: list[float] = []
    for name in headers:
        if not _RESET.search(name):
            continue
        remaining = name.replace("reset", "remaining")
        is_spent = headers.get(remaining, "").strip() == "0"
        if is_spent:
            wait = _until_call(headers, remaining, now, TRY_REFUSED)
        else:
            wait = seconds(headers[name], now)
            wait = min(wait, TRY_REFUSED) if wait and _BUCKET.fullmatch(name) else wait
        if wait is not None:
            (spent if is_spent else waits).append(wait)
    return max(spent) if spent else min(waits, default=None)
