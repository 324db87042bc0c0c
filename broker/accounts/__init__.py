"""Who may call, who pays, and what they may do: workspaces and their keys."""

from broker.accounts.credentials import KEY_PREFIX, hash_key, is_mistyped, mask, new_key
from broker.accounts.first_start import ensure_first_start
from broker.accounts.keys import (
    KeyFilter,
    KnownKey,
    NewKey,
    Used,
    change_key,
    create_key,
    disable_key,
    key_record,
    key_records,
    list_keys,
    mark_used_many,
)
from broker.accounts.principal import (
    NO_LIMITS,
    KnownCredential,
    Principal,
    RequestLimits,
    SpendingLimit,
    authenticate,
    find_credentials,
)
from broker.accounts.vocabulary import CallerKind, LimitReset, Role
from broker.accounts.workspaces import (
    DEFAULT_WORKSPACE,
    change_workspace,
    create_workspace,
    delete_workspace,
    find_workspace,
    list_workspaces,
    workspace,
)

__all__ = [
    "DEFAULT_WORKSPACE",
    "KEY_PREFIX",
    "NO_LIMITS",
    "CallerKind",
    "KeyFilter",
    "KnownCredential",
    "KnownKey",
    "LimitReset",
    "NewKey",
    "Principal",
    "RequestLimits",
    "Role",
    "SpendingLimit",
    "Used",
    "authenticate",
    "change_key",
    "change_workspace",
    "create_key",
    "create_workspace",
    "delete_workspace",
    "disable_key",
    "ensure_first_start",
    "find_credentials",
    "find_workspace",
    "hash_key",
    "is_mistyped",
    "key_record",
    "key_records",
    "list_keys",
    "list_workspaces",
    "mark_used_many",
    "mask",
    "new_key",
    "workspace",
]
