"""/webhooks/secret: what signs deliveries to the URLs that jobs name themselves."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.core import request as reading
from api.core.auth import actor_of
from api.core.errors import json_response
from api.core.services import services_of
from api.webhooks import views
from api.webhooks.schemas import ROTATION_BODY, RotationRequest
from broker import webhooks
from broker.accounts import Role, Scope
from broker.administration import carry_out
from broker.administration import webhooks as administration
from broker.clock import now_ms
from broker.errors import PermissionDeniedError
from broker.webhooks import NewWorkspaceSecret, SignatureKind

router = APIRouter(prefix="/secret", tags=["webhooks"])


@router.get("")
async def get_webhook_secret(request: Request) -> Response:
    """Show the workspace's secret to its members; it is made when first asked for or needed."""
    services = services_of(request)
    principal = await services.keyring.with_scope(request, Scope.WEBHOOKS)
    if not principal.role.reaches(Role.MEMBER):
        raise PermissionDeniedError(
            "Whoever has the secret can forge deliveries: it needs the role member or a higher one."
        )
    workspace_id = principal.workspace_id
    row = await services.database.read(webhooks.find_workspace_secret, workspace_id)
    if row is None:
        columns, _ = webhooks.new_secret_columns(SignatureKind.V1, services.seal)
        fresh = NewWorkspaceSecret(workspace_id, columns["secret"], now_ms())
        row = await services.database.write_grouped(webhooks.ensure_workspace_secrets, fresh)
    actor = actor_of(request, principal)
    await carry_out(
        services.database,
        lambda connection: administration.note_reading(connection, actor, workspace_id),
    )
    return json_response(views.workspace_secret(row, services.seal))


@router.post("/rotate", openapi_extra=ROTATION_BODY)
async def rotate_webhook_secret(request: Request) -> Response:
    """Replace the workspace's secret; the one before signs too until its overlap ends."""
    services = services_of(request)
    principal = await services.keyring.with_scope(request, Scope.WEBHOOKS)
    wanted = await reading.asked(request, services, RotationRequest, or_nothing=True)
    columns, _ = webhooks.new_secret_columns(SignatureKind.V1, services.seal)
    overlap = wanted.overlap_seconds * 1000
    fresh = NewWorkspaceSecret(principal.workspace_id, columns["secret"], now_ms(), overlap)
    actor = actor_of(request, principal)
    row = await carry_out(
        services.database,
        lambda connection: administration.rotate_workspace(connection, actor, fresh),
    )
    return json_response(views.workspace_secret(row, services.seal))
