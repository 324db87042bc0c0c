"""Refuse webhook URLs that are plainly wrong when they are handed in."""

from collections.abc import Sequence
from ipaddress import ip_address

from pydantic import BaseModel

from api.webhooks.schemas import JobWebhook, Url
from broker import webhooks
from broker.completion import Json
from broker.errors import InvalidRequestError
from broker.requests.bodies import validated
from broker.security import egress
from broker.security.egress import Network
from broker.submission.admission import RECEIVER_FIELDS

LOOPBACK = ip_address("127.0.0.1")


def check_receiver(url: str, networks: Sequence[Network], *, param: str) -> None:
    """Refuse a URL that no delivery could be sent to; `networks` are those the operator allows."""
    webhooks.check_url(url, param=param)
    try:
        target = egress.parse(url, egress.Policy(networks))
    except egress.RefusedError as error:
        raise _unreachable(str(error), param) from None
    if target.port == 0:
        raise _unreachable("ports are 1 to 65535", param)
    is_local = target.host == "localhost" or target.host.endswith(".localhost")
    if is_local and not egress.is_allowed(LOOPBACK, networks):
        raise _unreachable("the host is this machine", param)


def own_webhook(
    own: JobWebhook | None, short: str | None, networks: Sequence[Network]
) -> str | None:
    """Return a job's or batch's own receiver (JSON), given as `webhook` or `callback_url`."""
    if own is not None and short is not None:
        raise InvalidRequestError("Give `webhook` or `callback_url`.", param="callback_url")
    if own is not None:
        check_receiver(own.url, networks, param="webhook.url")
        webhooks.check_events(own.events, param="webhook.events")
        return webhooks.job_webhook(own.url, own.events)
    if short is not None:
        check_receiver(short, networks, param="callback_url")
        return webhooks.job_webhook(short)
    return None


class _Receiver(BaseModel):
    """The fields of a chat body that name its job's receiver."""

    webhook: JobWebhook | None = None
    callback_url: Url | None = None


def take_webhook(body: Json, networks: Sequence[Network]) -> str | None:
    """Take a job's own receiver out of a chat body, and return it as JSON."""
    told = {name: body.pop(name) for name in RECEIVER_FIELDS if name in body}
    if not told:
        return None
    wanted = validated(_Receiver, told)
    return own_webhook(wanted.webhook, wanted.callback_url, networks)


def _unreachable(why: str, param: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"No webhook can be sent to this URL: {why}. Public hosts are reached by https://, others "
        "where WAYBILL_ALLOWED_NETWORKS lists their network.",
        param=param,
    )
