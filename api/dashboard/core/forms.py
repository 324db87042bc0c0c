"""Values of forms, read as the API takes them."""

from collections.abc import Mapping

from api.dashboard.core.api_client import ApiRefusalError


def read_number(form: Mapping[str, str], name: str) -> int | float | None:
    """Return a number, or None for an empty field. Raises ApiRefusalError with the field."""
    text = form.get(name, "").strip()
    if not text:
        return None
    try:
        return int(text) if text.lstrip("-").isdecimal() else float(text)
    except ValueError:
        raise ApiRefusalError(400, f"{name}: {text[:50]!r} is no number.", name) from None


def read_list(form: Mapping[str, str], name: str) -> list[str] | None:
    """Return the entries of a field, one on each line or between commas; None for no entry."""
    entries = form.get(name, "").replace(",", "\n").splitlines()
    return [entry.strip() for entry in entries if entry.strip()] or None
