"""Check webhook URLs when they are submitted."""

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
    """Raise InvalidRequestError for a URL that no delivery can be sent to.

    `networks` are the private networks that the operator allows.
    """
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
    """Return the webhook of a job or batch as JSON, from `webhook` or `callback_url`."""
    if own is not None and short is not None:
        raise InvalidRequestError("Give `webhook` or `callback_url`.", param="callback_url")
    if own is not None:
        check_receiver(own.url, networks, param="webhook.url")
        webhooks.check_events(own.events, param="webhook.events")
        return webhooks.build_job_webhook(own.url, own.events)
    if short is not None:
        check_receiver(short, networks, param="callback_url")
        return webhooks.build_job_webhook(short)
    return None


class _Receiver(BaseModel):
    """The fields of a chat body with the webhook of its job."""

    webhook: JobWebhook | None = None
    callback_url: Url | None = None


def take_webhook(body: Json, networks: Sequence[Network]) -> str | None:
    """Remove the webhook of a job from a chat body, and return it as JSON."""
    found = {name: body.pop(name) for name in RECEIVER_FIELDS if name in body}
    if not found:
        return None
    receiver = validated(_Receiver, found)
    return own_webhook(receiver.webhook, receiver.callback_url, networks)


def _unreachable(reason: str, param: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"No webhook can be sent to this URL: {reason}. Public hosts are reached by https://, "
        "others where WAYBILL_ALLOWED_NETWORKS lists their network.",
        param=param,
    )
