"""Ids of responses and of their items. Both follow from the id of the job."""

import re

from broker.ids import BODY_LENGTH

RESPONSE = "resp_"
ITEM = re.compile(rf"[a-z]+_([0-9A-Z]{{{BODY_LENGTH}}})_\d+_\d+")


def response_id(job_id: str) -> str:
    """Return the id of the response of a job."""
    return RESPONSE + job_id.removeprefix("job_")


def job_of_response(id_: str) -> str:
    """Return the id of the job of a response; `id_` may be that of the job or its generation."""
    for prefix in (RESPONSE, "gen-"):
        if id_.startswith(prefix):
            return f"job_{id_.removeprefix(prefix)}"
    return id_


def item_id(prefix: str, job_id: str, attempt: int, index: int) -> str:
    """Return the id of an item of an answer: `index` counts the items with this prefix."""
    return f"{prefix}_{job_id.removeprefix('job_')}_{attempt}_{index}"


def job_of_item(id_: str) -> str | None:
    """Return the id of the job whose answer has the item; None for an id of another kind."""
    match = ITEM.fullmatch(id_)
    return f"job_{match[1]}" if match else None
