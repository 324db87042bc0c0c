"""What keys and workspaces may be called."""

import re

from broker.errors import InvalidRequestError

LONGEST_NAME = 200
LONGEST_SLUG = 50
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def check_name(name: str) -> None:
    """Raise InvalidRequestError for a name that says nothing, or that would break a list."""
    if not name.strip() or len(name) > LONGEST_NAME:
        raise InvalidRequestError(f"name: must have 1 to {LONGEST_NAME} characters.", param="name")
    if not name.isprintable():
        raise InvalidRequestError("name: may have no control characters in it.", param="name")


def check_slug(slug: str) -> None:
    """Raise InvalidRequestError for what is no part of a URL."""
    if not SLUG.fullmatch(slug) or len(slug) > LONGEST_SLUG:
        raise InvalidRequestError(
            f"slug: must be lower-case letters, digits and single hyphens, {LONGEST_SLUG} at most.",
            param="slug",
        )
