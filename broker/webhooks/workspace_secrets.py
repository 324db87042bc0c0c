"""The secret that signs deliveries to the URLs a workspace's jobs and batches name themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from broker.storage.tables import WebhookSecret, table
from broker.webhooks.endpoints import OVERLAP_MS

_secrets = table(WebhookSecret)


@dataclass(frozen=True, slots=True)
class NewWorkspaceSecret:
    """A fresh sealed secret for a workspace (`new_secret_columns(V1, seal)` makes one)."""

    workspace_id: str
    sealed: str
    now: int
    overlap_ms: int = OVERLAP_MS


def ensure_workspace_secrets(
    connection: Connection, wishes: Sequence[NewWorkspaceSecret]
) -> Sequence[Any]:
    """Return the rows of the workspaces' secrets; one that has none takes what is given."""
    return [_ensure(connection, wish) for wish in wishes]


def rotate_workspace_secrets(
    connection: Connection, wishes: Sequence[NewWorkspaceSecret]
) -> Sequence[Any]:
    """Replace workspaces' secrets and return their rows; the ones before sign too for a while."""
    return [_rotate(connection, wish) for wish in wishes]


def _ensure(connection: Connection, wish: NewWorkspaceSecret) -> Any:
    found = find_workspace_secret(connection, wish.workspace_id)
    if found is not None:
        return found
    connection.execute(  # a twin that was faster makes this a conflict, and the next try finds it
        insert(_secrets).values(
            workspace_id=wish.workspace_id, secret=wish.sealed, created_at=wish.now
        )
    )
    return find_workspace_secret(connection, wish.workspace_id)


def _rotate(connection: Connection, wish: NewWorkspaceSecret) -> Any:
    present = _ensure(connection, wish)
    if present.secret != wish.sealed:
        connection.execute(
            update(_secrets)
            .where(_secrets.c.workspace_id == wish.workspace_id)
            .values(
                secret=wish.sealed,
                previous_secret=present.secret,
                previous_until=wish.now + wish.overlap_ms,
                created_at=wish.now,
            )
        )
    return find_workspace_secret(connection, wish.workspace_id)


def find_workspace_secret(connection: Connection, workspace_id: str) -> Any | None:
    """Return the row of a workspace's secret, None before it was ever needed."""
    mine = select(_secrets).where(_secrets.c.workspace_id == workspace_id)
    return connection.execute(mine).first()
