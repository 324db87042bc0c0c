"""Webhooks: signed events for the receivers of a workspace, delivered at least once.

Reading order: `events`, `schedule`, `signing` (pure); `fan_out` (creates the deliveries of an event
in the transaction of the state change), `endpoint_options`, `endpoints`; then the only writers of
deliveries: `due` → `claims` → `records`, `endpoint_health` and `deliveries` (lists, redelivery).

    pending ──► running ──► delivered | exhausted       redelivery, replay: any end ──► pending
       │  ▲        │
       │  └────────┘ (failed, lost, interrupted)        endpoint disabled or deleted: ──► cancelled

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
    build_endpoint_columns,
    build_job_webhook,
    build_secret_columns,
    check_events,
    check_url,
)
from broker.webhooks.endpoints import (
    EndpointChange,
    NewWorkspaceSecret,
    Rotation,
    SecretRow,
    WebhookEndpointRow,
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
from broker.webhooks.events import (
    EVENT_TYPES,
    WebhookEvent,
    build_batch_event,
    build_job_event,
    build_response_event,
)
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
    "NewWorkspaceSecret",
    "PayloadKind",
    "Rotation",
    "Scheme",
    "SecretRow",
    "SignatureKind",
    "WebhookEndpointRow",
    "WebhookEvent",
    "build_batch_event",
    "build_endpoint",
    "build_endpoint_columns",
    "build_job_event",
    "build_job_webhook",
    "build_response_event",
    "build_secret_columns",
    "check_events",
    "check_url",
    "count_waiting",
    "create_endpoint",
    "delete_endpoint",
    "ensure_workspace_secret",
    "fan_out",
    "find_delivery",
    "find_endpoint",
    "find_workspace_secret",
    "list_deliveries",
    "list_endpoints",
    "redeliver",
    "replay",
    "rotate_endpoint",
    "rotate_workspace_secret",
    "send_test",
    "update_endpoint",
]
