"""Amounts, times and sizes as pages write them. Pure."""

from datetime import UTC, datetime

MINUTE, HOUR, DAY = 60, 3_600, 86_400
NOTHING = "\N{EN DASH}"
LONGEST_ID = 18
"""Longer ids are shortened."""
SHOWN_SHARE = 0.001
"""The least share that is written as a number."""
SHOWN_CENT = 0.01
"""Amounts below it, in US dollars, are written with two significant digits."""


def format_usd(amount: float | None) -> str:
    """Return an amount of US dollars: `$12.30`, `$0.0042`, or a dash for None."""
    if amount is None:
        return NOTHING
    sign, size = ("-" if amount < 0 else ""), abs(amount)
    if size == 0 or size >= SHOWN_CENT:
        return f"{sign}${size:,.2f}"
    digits = f"{size:.2g}"
    return f"{sign}${float(digits):.10f}".rstrip("0")


def format_change(amount: float) -> str:
    """Return a change of an amount with its sign: `+$25.00`, `-$0.0042`, or a dash for none."""
    rounded = round(amount, 9)  # to a nano-dollar
    if not rounded:
        return NOTHING
    return f"{'+' if rounded > 0 else ''}{format_usd(rounded)}"


def format_price(per_token: str | None) -> str:
    """Return a price per token (US dollars as text) as dollars per million tokens."""
    if per_token is None:
        return NOTHING
    million = float(per_token) * 1_000_000
    if million == 0:
        return "free"
    return f"${million:,.2f}" if million >= SHOWN_CENT else f"${million:.4f}"


def format_count(number: float | None) -> str:
    """Return a number in few characters: `950`, `12.3K`, `4.56M`, or a dash for None."""
    if number is None:
        return NOTHING
    for size, suffix in ((1e9, "B"), (1e6, "M"), (1e4, "K")):
        if abs(number) >= size:
            return f"{number / (1e3 if suffix == 'K' else size):.3g}{suffix}"
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:,.1f}"


def format_ms(milliseconds: float | None) -> str:
    """Return a duration of milliseconds: `840 ms`, `12.3 s`, `4 min`, or a dash for None."""
    if milliseconds is None:
        return NOTHING
    if milliseconds < 1_000:  # noqa: PLR2004
        return f"{milliseconds:.0f} ms"
    return format_seconds(milliseconds / 1_000)


def format_seconds(seconds: float | None) -> str:
    """Return a duration of seconds: `12.3 s`, `4 min 10 s`, `3 h 20 min`, `2 d 4 h`."""
    if seconds is None:
        return NOTHING
    if seconds < MINUTE:
        return f"{seconds:.3g} s"
    for size, unit, smaller, smaller_unit in (
        (DAY, "d", HOUR, "h"),
        (HOUR, "h", MINUTE, "min"),
        (MINUTE, "min", 1, "s"),
    ):
        if seconds >= size:
            rest = int(seconds % size // smaller)
            return f"{int(seconds // size)} {unit}" + (f" {rest} {smaller_unit}" if rest else "")
    raise AssertionError(seconds)  # the last size is one minute


def format_age(moment: float | None, now: float) -> str:
    """Return how long ago a moment was, in Unix seconds: `12 s ago`, `3 h ago`, `in 5 min`."""
    if moment is None:
        return NOTHING
    seconds = now - moment
    size = next((each for each in (DAY, HOUR, MINUTE) if abs(seconds) >= each), 1)
    unit = {DAY: "d", HOUR: "h", MINUTE: "min", 1: "s"}[size]
    number = int(abs(seconds) // size)
    if seconds < -1:
        return f"in {number} {unit}"
    return f"{number} {unit} ago" if number or size > 1 else "now"


def format_time(moment: float | str | None) -> str:
    """Return a moment in UTC: `2026-11-30 17:05:09`, or a dash for None."""
    if moment is None:
        return NOTHING
    return read_moment(moment).strftime("%Y-%m-%d %H:%M:%S")


def read_moment(moment: float | str) -> datetime:
    """Return a moment of Unix seconds or of ISO 8601 as a datetime in UTC."""
    if isinstance(moment, str):
        return datetime.fromisoformat(moment).astimezone(UTC)
    return datetime.fromtimestamp(moment, UTC)


def format_percent(share: float | None) -> str:
    """Return a share of 1 in percent: `99.2 %`, `<0.1 %`, or a dash for None."""
    if share is None:
        return NOTHING
    return "<0.1 %" if 0 < share < SHOWN_SHARE else f"{share * 100:.3g} %"


def format_bytes(size: float | None) -> str:
    """Return a size: `840 B`, `12.3 kB`, `4.56 MB`."""
    if size is None:
        return NOTHING
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= limit:
            return f"{size / limit:.3g} {unit}"
    return f"{size:.0f} B"


def shorten_id(text: str | None) -> str:
    """Return an id in few characters: `job_01HZ…4QXM9B`; a dash for None."""
    if text is None:
        return NOTHING
    return text if len(text) <= LONGEST_ID else f"{text[:9]}…{text[-6:]}"


FILTERS = {
    "usd": format_usd,
    "change": format_change,
    "price": format_price,
    "count": format_count,
    "ms": format_ms,
    "seconds": format_seconds,
    "time": format_time,
    "percent": format_percent,
    "bytes": format_bytes,
    "shorten": shorten_id,
}
"""Filters of the templates, by name."""
