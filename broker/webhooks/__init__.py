"""Webhooks: signed events for the receivers of a workspace, delivered at least once.

Read in this order: `events`, `schedule`, `signing` (pure); `fan_out` (an event's deliveries, in the
state change's transaction), `endpoint_options`, `endpoints`; then a delivery's life, of which these
are the only writers: `due` → `claims` → `records`, with `endpoint_health` and `deliveries` (lists,
redelivery) beside them.

    pending ──► running ──► delivered | exhausted       redelivery, replay: any end ──► pending
       │  ▲        │
       │  └────────┘ (failed, lost, handed back)        endpoint disabled or deleted: ──► cancelled

The id of a message (`webhook-id`) is the event's: the same at every attempt and for every receiver.
"""

from broker.enums import DeliveryState, PayloadKind, Scheme, SignatureKind
from broker.webhooks.deliveries import (
    AttemptRow,
    DeliveryFilter,
    DeliveryReplay,
    DeliveryReport,
    DeliveryRow,
    count_waiting,
    find_delivery,
    list_deliveries,
    redeliver,
    replay,
)
from broker.webhooks.endpoint_options import (
    EndpointOptions,
    build_endpoint,
    check_events,
    check_url,
    endpoint_columns,
    job_webhook,
    new_secret_columns,
)
from broker.webhooks.endpoints import (
    EndpointChange,
    EndpointRow,
    NewWorkspaceSecret,
    Rotation,
    SecretRow,
    create_endpoint,
    delete_endpoint,
    ensure_workspace_secret,
    find_endpoint,
    find_workspace_secret,
    list_endpoints,
    rotate_endpoint,
    rotate_workspace_secret,
    send_test,
    update_endpoint,
)
from broker.webhooks.events import EVENT_TYPES, WebhookEvent, batch_event, job_event
from broker.webhooks.fan_out import fan_out

__all__ = [
    "EVENT_TYPES",
    "AttemptRow",
    "DeliveryFilter",
    "DeliveryReplay",
    "DeliveryReport",
    "DeliveryRow",
    "DeliveryState",
    "EndpointChange",
    "EndpointOptions",
    "EndpointRow",
    "NewWorkspaceSecret",
    "PayloadKind",
    "Rotation",
    "Scheme",
    "SecretRow",
    "SignatureKind",
    "WebhookEvent",
    "batch_event",
    "build_endpoint",
    "check_events",
    "check_url",
    "count_waiting",
    "create_endpoint",
    "delete_endpoint",
    "endpoint_columns",
    "ensure_workspace_secret",
    "fan_out",
    "find_delivery",
    "find_endpoint",
    "find_workspace_secret",
    "job_event",
    "job_webhook",
    "list_deliveries",
    "list_endpoints",
    "new_secret_columns",
    "redeliver",
    "replay",
    "rotate_endpoint",
    "rotate_workspace_secret",
    "send_test",
    "update_endpoint",
]
