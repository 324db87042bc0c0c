"""Finds the usage in an answer that cannot be used otherwise: it was made, so it is billed."""

import json
import re
from typing import Any

_DECODER = json.JSONDecoder(strict=False)


def stated_usage(body: bytes, name: str) -> Any:
    """Return the last object that `name` holds in a body, which need not be JSON as a whole."""
    text = body.decode("utf-8", "replace")
    for found in reversed(list(re.finditer(rf'"{re.escape(name)}"\s*:\s*(?={{)', text))):
        try:
            return _DECODER.raw_decode(text, found.end())[0]
        except (ValueError, RecursionError):
            continue
    return None
