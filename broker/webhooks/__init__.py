"""Webhooks: a workspace's receivers are told what happened, at least once, signed.

Read in this order: `vocabulary`, `schedule`, `signing`, `payloads` (pure); `fan_out` (an event's
deliveries, in the state change's transaction), `endpoint_wishes`, `endpoints`, `workspace_secrets`;
then a delivery's life, of which these are the only writers: `due` → `claims` → `records`, with
`leases`, `cancellation` and `redelivery` beside them; `lists` (questions).

    pending ──► running ──► delivered | exhausted       redelivery, replay: any end ──► pending
       │  ▲        │
       │  └────────┘ (failed, lost, handed back)        endpoint disabled or deleted: ──► cancelled

The id of a message (`webhook-id`) is the event's: the same at every attempt and for every receiver.
"""

from broker.webhooks.deliveries import (
    DeliveryReport,
    Wanted,
    find_delivery,
    list_deliveries,
    waiting,
)
from broker.webhooks.endpoint_options import (
    EndpointWish,
    changes,
    check_events,
    check_url,
    job_webhook,
    new_endpoint,
    new_secret_columns,
)
from broker.webhooks.endpoints import (
    EndpointChange,
    EndpointName,
    Rotation,
    create_many,
    delete_many,
    find_endpoint,
    list_endpoints,
    rotate_many,
    send_test_many,
    update_many,
)
from broker.webhooks.fan_out import fan_out
from broker.webhooks.payloads import WebhookEvent, batch_event, job_event
from broker.webhooks.redelivery import Redelivery, Replay, redeliver_many, replay_many
from broker.webhooks.vocabulary import (
    EVENT_TYPES,
    DeliveryState,
    PayloadKind,
    Scheme,
    SignatureKind,
)
from broker.webhooks.workspace_secrets import (
    NewWorkspaceSecret,
    ensure_workspace_secrets,
    find_workspace_secret,
    rotate_workspace_secrets,
)

__all__ = [
    "EVENT_TYPES",
    "DeliveryReport",
    "DeliveryState",
    "EndpointChange",
    "EndpointName",
    "EndpointWish",
    "NewWorkspaceSecret",
    "PayloadKind",
    "Redelivery",
    "Replay",
    "Rotation",
    "Scheme",
    "SignatureKind",
    "Wanted",
    "WebhookEvent",
    "batch_event",
    "changes",
    "check_events",
    "check_url",
    "create_many",
    "delete_many",
    "ensure_workspace_secrets",
    "fan_out",
    "find_delivery",
    "find_endpoint",
    "find_workspace_secret",
    "job_event",
    "job_webhook",
    "list_deliveries",
    "list_endpoints",
    "new_endpoint",
    "new_secret_columns",
    "redeliver_many",
    "replay_many",
    "rotate_many",
    "rotate_workspace_secrets",
    "send_test_many",
    "update_many",
    "waiting",
]
