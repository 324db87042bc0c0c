"""Steps of `waybill up`, each in its own fork.

So `up` itself imports little and has no connection.
"""

from dataclasses import dataclass

from broker.settings import Settings


@dataclass(frozen=True, slots=True)
class Welcome:
    """The facts that are printed once, at the first start."""

    api_key: str | None
    first_user: str | None  # a link


def check(config: Settings) -> bool:
    """Return True where there is a provider. Raises SystemExit for an invalid configuration."""
    from broker import catalog
    from broker.providers import configuration
    from workers.provider_routes import build_routes

    known = configuration.load_providers(config)
    catalog.load(config, known)
    build_routes(known)
    return bool(known)


def prepare(config: Settings) -> Welcome:
    """Bring the database to the newest version, with a workspace and a key in it."""
    from broker import accounts
    from broker.administration import users
    from broker.migrations import migrate
    from broker.storage.database import Database

    database = Database(config.database)
    migrate(database.engine)
    with database.transaction() as connection:
        key = accounts.ensure_first_start(connection, config.bootstrap_key)
        invited = users.invite_first_user(connection)
    database.close()
    return Welcome(
        api_key=key.key if key else None,
        first_user=users.welcome_link(config, invited) if invited else None,
    )


def release_jobs(config: Settings, worker_id: str) -> int:
    """End the leases of a dead worker; return the number of jobs that become free."""
    from broker.clock import now_ms
    from broker.lifecycle import rescue
    from broker.storage.database import Database
    from broker.webhooks import records

    database = Database(config.database)
    jobs = 0
    with database.transaction() as connection:
        while released := rescue(connection, now_ms(), owner=worker_id):
            jobs += len(released)
    with database.transaction() as connection:
        while records.rescue(connection, now_ms(), worker_id):
            pass
    database.close()
    return jobs
