"""Workspaces, users and API keys: who is calling, who pays, and what they may do.

`users` (people and roles), `keys` (API keys), `workspaces`; `principal` (a key's row and its
workspace's, read together), `access` (where its requests may go), `sessions` (browsers), `tokens`
(secrets that work once), `audit` (the audit log).
"""

from broker.accounts import sessions, tokens, users
from broker.accounts.keys import (
    KEY_PREFIX,
    KeyFilter,
    KeyRow,
    KeyUse,
    ListedKey,
    NewKey,
    change_key,
    create_key,
    delete_key,
    disable_key,
    find_key,
    find_keys,
    hash_key,
    is_mistyped,
    list_keys,
    mark_used_many,
    mask,
    new_key,
)
from broker.accounts.principal import (
    NO_LIMITS,
    Principal,
    RequestLimits,
    StoredKey,
    authenticate,
    find_keys_by_hash,
    find_principal,
)
from broker.accounts.users import ALL_SCOPES, Scope
from broker.accounts.workspaces import (
    DEFAULT_WORKSPACE,
    WorkspaceRow,
    change_workspace,
    create_workspace,
    delete_workspace,
    ensure_first_start,
    find_workspace,
    find_workspace_id,
    list_workspaces,
)
from broker.enums import CallerKind, LimitReset, Role

__all__ = [
    "ALL_SCOPES",
    "DEFAULT_WORKSPACE",
    "KEY_PREFIX",
    "NO_LIMITS",
    "CallerKind",
    "KeyFilter",
    "KeyRow",
    "KeyUse",
    "LimitReset",
    "ListedKey",
    "NewKey",
    "Principal",
    "RequestLimits",
    "Role",
    "Scope",
    "StoredKey",
    "WorkspaceRow",
    "authenticate",
    "change_key",
    "change_workspace",
    "create_key",
    "create_workspace",
    "delete_key",
    "delete_workspace",
    "disable_key",
    "ensure_first_start",
    "find_key",
    "find_keys",
    "find_keys_by_hash",
    "find_principal",
    "find_workspace",
    "find_workspace_id",
    "hash_key",
    "is_mistyped",
    "list_keys",
    "list_workspaces",
    "mark_used_many",
    "mask",
    "new_key",
    "sessions",
    "tokens",
    "users",
]
