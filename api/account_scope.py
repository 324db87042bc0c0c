"""Which workspaces an administrator reaches: their own, or all; another's is not found."""

from api.core.services import Services
from broker import accounts
from broker.accounts import Principal
from broker.errors import NotFoundError


async def workspace_of(services: Services, principal: Principal, wanted: str | None) -> str:
    """Return the id of the workspace that was asked for (by id or slug), or the caller's own.

    Raises NotFoundError for one that is not there, or not theirs.
    """
    if wanted is None:
        return principal.workspace_id
    row = await services.database.read(accounts.workspace, wanted)
    if row is None or not principal.administers(row.id):
        raise NotFoundError(f"There is no workspace {wanted}.", param="workspace_id")
    return str(row.id)


async def all_or_own(
    services: Services, principal: Principal, wanted: str | None
) -> list[str] | None:
    """Return the workspaces a list is about; None = all there are."""
    if wanted is None and principal.everywhere:
        return None
    return [await workspace_of(services, principal, wanted)]
