"""Another WAYBILL_SECRET_KEY: whatever is sealed in the database is sealed anew."""

from typing import Any

from sqlalchemy import Connection, select, update

from broker.security.encryption import Seal
from broker.storage.tables import ProviderCredential, WebhookEndpoint, WebhookSecret, table

SEALED: tuple[tuple[Any, str, tuple[str, ...]], ...] = (
    (table(ProviderCredential), "id", ("sealed",)),
    (
        table(WebhookEndpoint),
        "id",
        ("secret", "previous_secret", "headers"),
    ),
    (
        table(WebhookSecret),
        "workspace_id",
        ("secret", "previous_secret"),
    ),
)
"""Every table with sealed columns, and what names its rows."""


def rotate(connection: Connection, seal: Seal) -> int:
    """Seal everything with the newest key, in one transaction; return how many secrets there were.

    Raises UnavailableError where a secret opens with none of the keys: then nothing is changed.
    """
    return sum(_rotate(connection, seal, *each) for each in SEALED)


def _rotate(
    connection: Connection, seal: Seal, table: Any, key: str, names: tuple[str, ...]
) -> int:
    columns = [table.c[name] for name in (key, *names)]
    done = 0
    for row in connection.execute(select(*columns).with_for_update()).mappings().all():
        anew = {name: seal.renew(row[name]) for name in names if row[name]}
        done += len(anew)
        if anew:
            connection.execute(update(table).where(table.c[key] == row[key]).values(anew))
    return done
