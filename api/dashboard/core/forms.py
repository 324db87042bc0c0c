"""Forms of the dashboard: their files, and their values as the API takes them."""

import contextlib
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from api.dashboard.core.api_client import ApiRefusalError
from api.pages.page import MAX_FORM_BYTES, check_form_token
from broker.values import immutable

MAX_UPLOAD_BYTES = 64_000_000
"""The largest file of a form. Larger ones are for the API and the command."""


@immutable
class Upload:
    """A file of a form, as it lies on the disk while the form is handled."""

    name: str
    path: Path


@contextlib.asynccontextmanager
async def read_upload(
    request: Request, name: str
) -> AsyncIterator[tuple[dict[str, str], Upload | None]]:
    """Yield the fields of a form with a file, and the file if one was chosen.

    Raises PermissionDeniedError without a valid form token, and ApiRefusalError for a large file.
    """
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > MAX_UPLOAD_BYTES:
        raise ApiRefusalError(
            413,
            f"A file of a form has {MAX_UPLOAD_BYTES // 1_000_000} MB at most: send a larger one "
            "with `waybill batch` or the API.",
            name,
        )
    async with request.form(max_files=1, max_fields=50, max_part_size=MAX_FORM_BYTES) as form:
        fields = check_form_token(request, read_texts(form))
        file = form.get(name)
        if not isinstance(file, UploadFile) or not file.filename:
            yield fields, None
            return
        with tempfile.TemporaryDirectory() as directory:
            kept = Path(directory) / f"upload{Path(file.filename).suffix.lower()[:10]}"
            kept.write_bytes(await file.read())
            yield fields, Upload(file.filename, kept)


def read_texts(form: FormData) -> dict[str, str]:
    """Return the fields of a form that are no files."""
    return {name: value for name, value in form.items() if isinstance(value, str)}


def keep_entered(form: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return what a refused form contained, to show it again. An absent field is empty."""
    return defaultdict(str, form or {})


def status_of(refusal: ApiRefusalError | None) -> int:
    """Return the status of a page that shows a refusal, or none."""
    return 200 if refusal is None else refusal.status


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


def read_json_object(form: Mapping[str, str], name: str) -> dict[str, Any]:
    """Return the JSON object in a field; empty for an empty field. Raises ApiRefusalError."""
    text = form.get(name, "").strip()
    if not text:
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ApiRefusalError(400, f"{name}: this is no JSON: {error}.", name) from None
    if not isinstance(value, dict):
        raise ApiRefusalError(400, f"{name}: a JSON object is needed, such as {{}}.", name)
    return value
