"""Callers see the usage of their own scope."""

import pytest

from api.core.scope import UsageScope, find_usage_scope
from broker.accounts import CallerKind, Principal, Role
from broker.errors import PermissionDeniedError


def caller(kind=CallerKind.INFERENCE, **more):
    return Principal("ws_1", "key_1", unlimited=False, kind=kind, **more)


def test_a_keys_holder_sees_what_the_key_used_without_being_an_administrator():
    # bifrost#6482
    assert find_usage_scope(caller()) == UsageScope(["ws_1"], ["key_1"])


def test_who_administers_a_workspace_sees_all_of_it():
    manager = caller(CallerKind.MANAGEMENT, role=Role.ADMIN)
    assert find_usage_scope(manager, "ws_1") == UsageScope(["ws_1"], None)


@pytest.mark.parametrize("kind", CallerKind)
def test_nobody_sees_another_workspace(kind):
    with pytest.raises(PermissionDeniedError, match="management key of it, or of the installation"):
        find_usage_scope(caller(kind), "ws_2")


def test_who_administers_everything_sees_everything():
    operator = caller(CallerKind.MANAGEMENT, everywhere=True)
    assert find_usage_scope(operator) == UsageScope(None, None)
    assert find_usage_scope(operator, "ws_2") == UsageScope(["ws_2"], None)
