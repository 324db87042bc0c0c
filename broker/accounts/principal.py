"""Identify the caller and its rights: a key and its workspace, read together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, and_, bindparam, exists, select

from broker.accounts.keys import hash_key
from broker.accounts.users import ALL_SCOPES, Scope
from broker.clock import now_ms
from broker.completion import Json
from broker.enums import CallerKind, Role
from broker.routing.workspace_credentials import NO_CREDENTIALS, WorkspaceCredentials
from broker.storage.tables import ApiKey, Budget, Member, User, Workspace, table

_keys = table(ApiKey)
_workspaces = table(Workspace)
_budgets = table(Budget)
_users = table(User)
_members = table(Member)


class _CallerRow(NamedTuple):
    """A key, read together with its creator and its workspace."""

    id: str
    workspace_id: str
    hash: str
    label: str
    kind: CallerKind
    everywhere: bool
    disabled: bool
    has_limit: bool
    requests_per_minute: int | None
    max_concurrent_jobs: int | None
    allowed_models: str | None  # JSON list
    allowed_providers: str | None  # JSON list
    scopes: str | None  # JSON list; None = all
    created_by: str | None
    expires_at: int | None
    creator_disabled: bool | None
    creator_is_operator: bool | None
    creator_role: Role | None  # in the key's workspace
    unlimited: bool
    has_budgets: bool
    workspace_requests_per_minute: int | None
    workspace_max_concurrent_jobs: int | None
    settings: str | None  # JSON object of the workspace


_SELECT = (
    select(
        _keys.c.id,
        _keys.c.workspace_id,
        _keys.c.hash,
        _keys.c.label,
        _keys.c.kind,
        _keys.c.everywhere,
        _keys.c.disabled,
        _keys.c.limit_nanos.is_not(None).label("has_limit"),
        _keys.c.requests_per_minute,
        _keys.c.max_concurrent_jobs,
        _keys.c.allowed_models,
        _keys.c.allowed_providers,
        _keys.c.scopes,
        _keys.c.created_by,
        _keys.c.expires_at,
        _users.c.disabled.label("creator_disabled"),
        _users.c.is_operator.label("creator_is_operator"),
        _members.c.role.label("creator_role"),
        _workspaces.c.unlimited,
        exists().where(_budgets.c.workspace_id == _keys.c.workspace_id).label("has_budgets"),
        _workspaces.c.requests_per_minute.label("workspace_requests_per_minute"),
        _workspaces.c.max_concurrent_jobs.label("workspace_max_concurrent_jobs"),
        _workspaces.c.settings,
    )
    .join(_workspaces, _workspaces.c.id == _keys.c.workspace_id)
    .outerjoin(_users, _users.c.id == _keys.c.created_by)
    .outerjoin(
        _members,
        and_(_members.c.user_id == _users.c.id, _members.c.workspace_id == _keys.c.workspace_id),
    )
)
_SELECT_BY_HASH = _SELECT.where(
    _keys.c.hash.in_(bindparam("hashes", expanding=True)),
    _keys.c.deleted_at.is_(None),
    _workspaces.c.deleted_at.is_(None),
)


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The limits of requests in a time, and of jobs at one time; None = no limit."""

    requests_per_minute: int | None = None
    max_concurrent_jobs: int | None = None


NO_LIMITS = RequestLimits()


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller: the key, and the workspace that pays."""

    workspace_id: str
    api_key_id: str
    unlimited: bool
    kind: CallerKind = CallerKind.INFERENCE
    role: Role = Role.MEMBER
    everywhere: bool = False  # administers every workspace
    user_id: str | None = None  # the creator of the key, or the signed-in user
    label: str = ""  # the masked key, or the e-mail address
    limits: RequestLimits = NO_LIMITS  # of the key
    workspace_limits: RequestLimits = NO_LIMITS  # of all keys of the workspace together
    is_budgeted: bool = False  # a budget or a limit of the key may limit its spending
    allowed_models: tuple[str, ...] | None = None  # slugs and patterns; None = all
    allowed_providers: frozenset[str] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the workspace
    own_keys: WorkspaceCredentials = NO_CREDENTIALS  # keys of providers
    scopes: frozenset[Scope] = ALL_SCOPES
    is_disabled: bool = False  # a signed-in user whose key is disabled runs no jobs

    @property
    def has_key(self) -> bool:
        """Return whether jobs of the caller count for a key: a session may have none yet."""
        return self.api_key_id != self.user_id

    @property
    def actor(self) -> str:
        """Return the actor for the audit log."""
        return self.user_id or "" if self.kind is CallerKind.SESSION else self.api_key_id

    def owner_filter(self, scope: Scope) -> str | None:
        """Return the key whose objects the caller may see, or None if it may see all."""
        return None if scope in self.scopes else self.api_key_id

    def sees(self, api_key_id: str | None, scope: Scope) -> bool:
        """Return whether the caller may read the objects of this key."""
        return self.owner_filter(scope) in (None, api_key_id)

    def administers(self, workspace_id: str) -> bool:
        """Return whether the caller may administer this workspace."""
        return self.everywhere or self.workspace_id == workspace_id


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key in the database, which may be disabled or expired."""

    principal: Principal
    disabled: bool
    expires_at: int | None
    has_lost_creator: bool = False  # a management key whose creator is disabled or no member now

    def is_expired(self, now: int) -> bool:
        return self.expires_at is not None and self.expires_at <= now


def find_keys_by_hash(connection: Connection, hashes: Sequence[str]) -> dict[str, StoredKey]:
    """Return the keys with these hashes, by hash."""
    found = connection.execute(_SELECT_BY_HASH, {"hashes": list(hashes)})
    rows = [_CallerRow(**row) for row in found.mappings()]
    return {
        row.hash: StoredKey(_principal(row), row.disabled, row.expires_at, _has_lost_creator(row))
        for row in rows
    }


def find_session_key(connection: Connection, workspace_id: str, user_id: str) -> StoredKey | None:
    """Return the key that a user's own calls at the dashboard count for, or None."""
    query = _SELECT.where(
        _keys.c.workspace_id == workspace_id,
        _keys.c.created_by == user_id,
        _keys.c.kind == CallerKind.SESSION,
        _keys.c.deleted_at.is_(None),
    )
    row = connection.execute(query.order_by(_keys.c.created_at, _keys.c.id)).mappings().first()
    if row is None:
        return None
    caller = _CallerRow(**row)
    return StoredKey(_principal(caller), caller.disabled, caller.expires_at)


def authenticate(connection: Connection, key: str) -> Principal | None:
    """Return the caller of this key, or None if the key is not valid."""
    found = find_keys_by_hash(connection, [hash_key(key)]).get(hash_key(key))
    if found is None or found.disabled or found.has_lost_creator or found.is_expired(now_ms()):
        return None
    return found.principal


def find_principal(connection: Connection, workspace_id: str, api_key_id: str) -> Principal:
    """Return the caller on whose behalf accepted work continues.

    The key may have been disabled or deleted since: its limits still hold, and its workspace pays.
    """
    row = connection.execute(_SELECT.where(_keys.c.id == api_key_id)).mappings().first()
    if row is not None:
        return _principal(_CallerRow(**row))
    query = select(_workspaces.c.unlimited).where(_workspaces.c.id == workspace_id)
    return Principal(workspace_id, api_key_id, bool(connection.execute(query).scalar()))


def _principal(row: _CallerRow) -> Principal:
    providers = _list(row.allowed_providers)
    return Principal(
        workspace_id=row.workspace_id,
        api_key_id=row.id,
        unlimited=row.unlimited,
        kind=row.kind,
        role=_role(row),
        everywhere=row.everywhere and (row.created_by is None or bool(row.creator_is_operator)),
        user_id=row.created_by,
        label=row.label,
        limits=_limits(row.requests_per_minute, row.max_concurrent_jobs),
        workspace_limits=_limits(
            row.workspace_requests_per_minute, row.workspace_max_concurrent_jobs
        ),
        is_budgeted=row.has_budgets or row.has_limit,
        allowed_models=_list(row.allowed_models),
        allowed_providers=None if providers is None else frozenset(providers),
        settings=_object(row.settings),
        scopes=ALL_SCOPES if row.scopes is None else frozenset(map(Scope, _list(row.scopes) or ())),
    )


def _has_lost_creator(row: _CallerRow) -> bool:
    """Return whether the creator of a management key has no rights in its workspace any more.

    Inference keys belong to their workspace and continue to work.
    """
    if row.kind is not CallerKind.MANAGEMENT or row.created_by is None:
        return False
    if row.creator_disabled:
        return True
    return row.creator_role is None and not row.creator_is_operator


def _role(row: _CallerRow) -> Role:
    """Return the role of a key; a management key has at most the present role of its creator."""
    if row.kind is not CallerKind.MANAGEMENT:
        return Role.MEMBER
    if (
        row.created_by is None or row.creator_is_operator
    ):  # created on the server, or by an operator
        return Role.ADMIN
    creator = row.creator_role or Role.VIEWER
    return Role.ADMIN if creator.reaches(Role.ADMIN) else creator


def _limits(requests_per_minute: int | None, max_concurrent_jobs: int | None) -> RequestLimits:
    if requests_per_minute is None and max_concurrent_jobs is None:
        return NO_LIMITS
    return RequestLimits(requests_per_minute, max_concurrent_jobs)


def _list(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(orjson.loads(text))


def _object(text: str | None) -> Json:
    found: Json = {} if text is None else orjson.loads(text)
    return found
