"""Routes of webhook endpoints and of the workspace's secret."""

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Path
from starlette.responses import Response

from api.core.bodies import Route
from api.core.dependencies import CallingActor, ServicesDep, WebhookCaller
from api.core.errors import json_response
from api.core.services import Services
from api.webhooks import views
from api.webhooks.response_schemas import (
    DeletedWebhookEndpoint,
    WebhookDeliveryDetails,
    WebhookEndpoint,
    WebhookEndpointList,
    WebhookEndpointWithSecret,
    WebhookSecret,
)
from api.webhooks.schemas import (
    EndpointBody,
    EndpointChangesBody,
    EndpointRotationBody,
    RotationBody,
)
from api.webhooks.urls import check_receiver
from broker import webhooks
from broker.accounts import Principal, Role
from broker.administration import carry_out
from broker.administration import webhooks as administration
from broker.clock import now_ms
from broker.completion import Json
from broker.errors import InvalidRequestError, PermissionDeniedError
from broker.webhooks import (
    EndpointChange,
    EndpointOptions,
    NewWorkspaceSecret,
    Rotation,
    Scheme,
    SignatureKind,
)
from broker.webhooks.endpoints import WebhookEndpointRow

router = APIRouter(route_class=Route, prefix="/endpoints", tags=["webhooks"])
EndpointId: TypeAlias = Annotated[
    str, Path(description="The id of the webhook endpoint (`whep_…`).")
]


@router.post("", status_code=201, response_model=WebhookEndpointWithSecret)
async def create_webhook_endpoint(
    services: ServicesDep, principal: WebhookCaller, actor: CallingActor, wanted: EndpointBody
) -> Response:
    """Create an endpoint. Its secret is in this answer, and in no other."""
    check_receiver(wanted.url, services.settings.allowed_networks, param="url")
    options = EndpointOptions(**dict(wanted))
    row, secret = webhooks.build_endpoint(
        options, principal.workspace_id, services.encryption, now_ms()
    )
    made = await carry_out(
        services.database, lambda connection: administration.create(connection, actor, row)
    )
    return json_response(_with_secret(services, made, secret), 201)


@router.get("", response_model=WebhookEndpointList)
async def list_webhook_endpoints(services: ServicesDep, principal: WebhookCaller) -> Response:
    """List the workspace's endpoints, oldest first."""
    rows = await services.database.read(webhooks.list_endpoints, principal.workspace_id)
    shown = [views.render_endpoint(row, services.encryption) for row in rows]
    return json_response({"object": "list", "data": shown})


@router.get("/{endpoint_id}", response_model=WebhookEndpoint)
async def get_webhook_endpoint(
    services: ServicesDep, principal: WebhookCaller, endpoint_id: EndpointId
) -> Response:
    """Return an endpoint, with the time since when it fails or the reason why it is disabled."""
    row = await _find(services, principal, endpoint_id)
    return json_response(views.render_endpoint(row, services.encryption))


@router.patch("/{endpoint_id}", response_model=WebhookEndpointWithSecret)
async def change_webhook_endpoint(
    services: ServicesDep,
    principal: WebhookCaller,
    actor: CallingActor,
    body: EndpointChangesBody,
    endpoint_id: EndpointId,
) -> Response:
    """Change an endpoint, disable it (its pending deliveries are cancelled), or enable it again.

    A change of `url` creates a new secret, which is in this answer only. It deletes the additional
    headers that the request does not repeat, so that no receiver gets the secrets of another.
    """
    changes = body.model_dump(exclude_unset=True)
    if "url" in changes:
        check_receiver(changes["url"], services.settings.allowed_networks, param="url")
    if changes.get("scheme") is Scheme.OPENROUTER:
        row = await _find(services, principal, endpoint_id)
        _check_signature(Scheme.OPENROUTER, SignatureKind(row.signature), param="scheme")
    secrets = {
        kind: webhooks.build_secret_columns(kind, services.encryption) for kind in SignatureKind
    }
    change = EndpointChange(
        *(principal.workspace_id, endpoint_id, now_ms()),
        webhooks.build_endpoint_columns(changes, services.encryption),
        {kind.value: columns for kind, (columns, _) in secrets.items()},
    )
    row = await carry_out(
        services.database, lambda connection: administration.change(connection, actor, change)
    )
    columns, secret = secrets[SignatureKind(row.signature)]
    if row.secret == columns["secret"]:
        return json_response(_with_secret(services, row, secret))
    return json_response(views.render_endpoint(row, services.encryption))


@router.delete("/{endpoint_id}", response_model=DeletedWebhookEndpoint)
async def delete_webhook_endpoint(
    services: ServicesDep, principal: WebhookCaller, actor: CallingActor, endpoint_id: EndpointId
) -> Response:
    """Delete an endpoint. Its pending deliveries are cancelled."""
    await services.database.write(
        administration.delete, actor, principal.workspace_id, endpoint_id, now_ms()
    )
    return json_response({"id": endpoint_id, "object": "webhook_endpoint", "deleted": True})


@router.post("/{endpoint_id}/rotate", response_model=WebhookEndpointWithSecret)
async def rotate_webhook_endpoint(
    services: ServicesDep,
    principal: WebhookCaller,
    actor: CallingActor,
    wanted: EndpointRotationBody,
    endpoint_id: EndpointId,
) -> Response:
    """Replace the secret of an endpoint. Only this answer has the new one; both sign for a time."""
    row = await _find(services, principal, endpoint_id)
    kind = wanted.signature or SignatureKind(row.signature)
    _check_signature(Scheme(row.scheme), kind, param="signature")
    columns, secret = webhooks.build_secret_columns(kind, services.encryption)
    overlap = wanted.overlap_seconds * 1000
    rotation = Rotation(principal.workspace_id, endpoint_id, now_ms(), columns, overlap)
    rotated = await carry_out(
        services.database, lambda connection: administration.rotate(connection, actor, rotation)
    )
    return json_response(_with_secret(services, rotated, secret))


@router.post("/{endpoint_id}/test", status_code=202, response_model=WebhookDeliveryDetails)
async def test_webhook_endpoint(
    services: ServicesDep, principal: WebhookCaller, endpoint_id: EndpointId
) -> Response:
    """Send the event `endpoint.test` to an endpoint, whatever its filter; return the delivery."""
    delivery_id = await services.database.write(
        webhooks.send_test, principal.workspace_id, endpoint_id, now_ms()
    )
    found = await services.database.read(
        webhooks.find_delivery, principal.workspace_id, delivery_id
    )
    return json_response(views.render_delivery_details(found), 202)


async def _find(services: Services, principal: Principal, endpoint_id: str) -> WebhookEndpointRow:
    return await services.database.read(webhooks.find_endpoint, principal.workspace_id, endpoint_id)


def _with_secret(services: Services, row: WebhookEndpointRow, secret: str) -> Json:
    """Render an endpoint with its secret. A private key is not shown: the public key is."""
    shown = views.render_endpoint(row, services.encryption)
    return shown if row.public_key else shown | {"secret": secret}


def _check_signature(scheme: Scheme, kind: SignatureKind, *, param: str) -> None:
    if scheme is Scheme.OPENROUTER and kind is SignatureKind.V1A:
        raise InvalidRequestError("The openrouter scheme signs with v1 only.", param=param)


secret_router = APIRouter(route_class=Route, prefix="/secret", tags=["webhooks"])


@secret_router.get("", response_model=WebhookSecret)
async def get_webhook_secret(
    services: ServicesDep, principal: WebhookCaller, actor: CallingActor
) -> Response:
    """Return the workspace's secret to a member; it is created at the first use."""
    if not principal.role.reaches(Role.MEMBER):
        raise PermissionDeniedError(
            "With the secret one can forge deliveries: it needs the role member or a higher one."
        )
    workspace_id = principal.workspace_id
    row = await services.database.read(webhooks.find_workspace_secret, workspace_id)
    if row is None:
        columns, _ = webhooks.build_secret_columns(SignatureKind.V1, services.encryption)
        fresh = NewWorkspaceSecret(workspace_id, columns["secret"], now_ms())
        row = await services.database.write(webhooks.ensure_workspace_secret, fresh)
    await carry_out(
        services.database,
        lambda connection: administration.note_reading(connection, actor, workspace_id),
    )
    return json_response(views.render_secret(row, services.encryption))


@secret_router.post("/rotate", response_model=WebhookSecret)
async def rotate_webhook_secret(
    services: ServicesDep, principal: WebhookCaller, actor: CallingActor, wanted: RotationBody
) -> Response:
    """Replace the workspace's secret; the previous one signs too until the overlap ends."""
    columns, _ = webhooks.build_secret_columns(SignatureKind.V1, services.encryption)
    overlap = wanted.overlap_seconds * 1000
    fresh = NewWorkspaceSecret(principal.workspace_id, columns["secret"], now_ms(), overlap)
    row = await carry_out(
        services.database,
        lambda connection: administration.rotate_workspace(connection, actor, fresh),
    )
    return json_response(views.render_secret(row, services.encryption))
