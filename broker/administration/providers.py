"""Pause and resume providers, each act with its entry in the audit log."""

from sqlalchemy import Connection, delete, insert

from broker.accounts import audit
from broker.accounts.audit import Actor, AuditedChange
from broker.clock import now_ms
from broker.providers.pauses import read_pauses
from broker.storage.tables import PausedProvider, table

_paused = table(PausedProvider)


def pause(connection: Connection, actor: Actor, provider: str, reason: str | None) -> bool:
    """Pause a provider; return False where it is paused already, whose reason stays."""
    if provider in {row.provider for row in read_pauses(connection)}:
        return False
    connection.execute(
        insert(_paused).values(
            provider=provider,
            reason=reason,
            paused_by=actor.label or actor.id,
            paused_at=now_ms(),
        )
    )
    audit.record(
        connection,
        actor,
        AuditedChange("providers.pause", provider, None, after={"reason": reason}),
    )
    return True


def resume(connection: Connection, actor: Actor, provider: str) -> bool:
    """Resume a provider; return False where it is not paused."""
    gone = connection.execute(delete(_paused).where(_paused.c.provider == provider)).rowcount
    if gone:
        audit.record(connection, actor, AuditedChange("providers.resume", provider, None))
    return bool(gone)
