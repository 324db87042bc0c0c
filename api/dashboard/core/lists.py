"""Lists of the API that are read by offset, and shown page by page."""

from urllib.parse import urlencode

from starlette.requests import Request

PAGE_SIZE = 50
"""The entries of a list on one page."""
MOST_DIGITS = 9


def read_offset(request: Request) -> int:
    """Return the entries of a list that the page skips, as its URL says; 0 for nonsense."""
    text = request.query_params.get("offset", "")
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else 0


def link_pages(offset: int, total: int) -> dict[str, str]:
    """Return the paths of the next and the first page of a list, where there are such pages."""
    following = offset + PAGE_SIZE
    return {
        "next_path": "?" + urlencode({"offset": following}) if following < total else "",
        "first_path": "?" if offset else "",
    }
