"""A request that is refused now may have been accepted before: its key still brings that job."""

import orjson

from api.core.services import Services
from broker import idempotency, submission
from broker.accounts import Principal
from broker.completion import Json
from broker.errors import WaybillError
from broker.submission import NewJob, Wish


async def earlier(
    services: Services, principal: Principal, body: Json, wish: Wish, refusal: WaybillError
) -> NewJob:
    """Return the job that this request brought when it came first. Raises `refusal` if it did not.

    Models leave the configuration, presets are deleted, keys are restricted: none of it takes
    back what was accepted.
    """
    if wish.idempotency_key is None:
        raise refusal
    row = await services.database.read(
        idempotency.find, principal.workspace_id, wish.idempotency_key
    )
    if row is None or row["fingerprint"] != _fingerprint(body, wish, principal):
        raise refusal
    return submission.repeat(row, principal, refusal)


def _fingerprint(body: Json, wish: Wish, principal: Principal) -> str | None:
    try:
        return submission.fingerprint(body, wish, principal)
    except orjson.JSONEncodeError:  # nested too deeply: it was never accepted
        return None
