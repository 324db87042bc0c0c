"""What an installation begins with: the default workspace and a key for it."""

from sqlalchemy import Connection, func, select

from broker.accounts.credentials import hash_key, is_mistyped
from broker.accounts.keys import NewKey, create_key
from broker.accounts.workspaces import DEFAULT_WORKSPACE, create_workspace
from broker.storage.tables import ApiKey, Workspace, table

FIRST_START_LOCK = 72_618_311  # any number, the same everywhere

_workspaces = table(Workspace)
_keys = table(ApiKey)


def ensure_first_start(connection: Connection, bootstrap_key: str) -> NewKey | None:
    """Make the default workspace and its key; return the key only when it was made here and now.

    A `bootstrap_key` is registered as it is (and not returned: its owner knows it). Raises
    SystemExit for one whose checksum does not fit: it would open nothing.
    """
    if is_mistyped(bootstrap_key):
        raise SystemExit("waybill: WAYBILL_BOOTSTRAP_KEY is mistyped: its checksum does not fit")
    if connection.dialect.name == "postgresql":  # processes that start together take turns
        connection.execute(select(func.pg_advisory_xact_lock(FIRST_START_LOCK)))
    if connection.execute(select(_workspaces.c.id).limit(1)).first() is None:
        create_workspace(connection, "default", unlimited=True, workspace_id=DEFAULT_WORKSPACE)
    if bootstrap_key:
        known = select(_keys.c.id).where(_keys.c.hash == hash_key(bootstrap_key))
        if connection.execute(known).first() is None:
            create_key(connection, DEFAULT_WORKSPACE, "bootstrap", key=bootstrap_key)
        return None
    if connection.execute(select(_keys.c.id).limit(1)).first() is not None:
        return None
    return create_key(connection, DEFAULT_WORKSPACE, "first key")
