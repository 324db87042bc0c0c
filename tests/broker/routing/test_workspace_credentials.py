"""Keys are used in order: prioritised, the installation's, fallback."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import routing
from broker.errors import NoEndpointError
from broker.pricing import Price
from broker.providers.endpoints import Endpoint
from broker.requests.operations import Operation
from broker.routing import Plan, PlanStep
from broker.routing.workspace_credentials import (
    NO_CREDENTIALS,
    WorkspaceCredential,
    WorkspaceCredentials,
    plan_credentials,
)
from broker.submission.quotes import compute_quotes


def plan_of(*places, batched=False):
    return Plan(
        [
            PlanStep(
                Endpoint(provider, model, model, Price(request=100), batched=batched), "cheapest"
            )
            for provider, model in places
        ]
    )


def own(*keys, unconfigured=()):
    by_provider = {}
    for key in keys:
        by_provider.setdefault(key.provider, []).append(key)
    return WorkspaceCredentials(by_provider, frozenset(unconfigured))


def ways(plan):
    return [(plan[n].provider, plan[n].credential) for n in range(len(plan))]


TWO = plan_of(("alpha", "a/m"), ("beta", "a/m"))


def test_without_keys_a_plan_stays_as_it_is():
    assert plan_credentials(TWO, NO_CREDENTIALS) is TWO


def test_own_keys_go_first_then_the_installations_then_fallbacks():
    keys = own(
        WorkspaceCredential("k3", "beta", "last", is_fallback=True),
        WorkspaceCredential("k1", "beta", "one"),
        WorkspaceCredential("k2", "beta", "two"),
    )
    # the caller's own key goes before an endpoint that the plan put first
    assert ways(plan_credentials(TWO, keys)) == [
        ("beta", "k1"), ("beta", "k2"), ("alpha", None), ("beta", None), ("beta", "k3"),
    ]  # fmt: skip


def test_a_fallback_model_stays_behind_the_model_that_was_asked_for():
    plan = plan_of(("alpha", "a/m"), ("beta", "b/n"))
    assert ways(plan_credentials(plan, own(WorkspaceCredential("k", "beta", "mine")))) == [
        ("alpha", None), ("beta", "k"), ("beta", None),
    ]  # fmt: skip


@pytest.mark.parametrize("rule", [{"is_required": True}, {"is_byok_only": True}])
def test_the_installations_key_is_never_used_where_the_workspace_rules_it_out(rule):
    only_beta = plan_of(("beta", "a/m"))
    fine = own(WorkspaceCredential("k", "beta", "mine", **rule))
    refused = own(WorkspaceCredential("k", "beta", "mine", disabled=True, is_refused=True, **rule))
    assert ways(plan_credentials(only_beta, fine)) == [("beta", "k")]
    # also after the provider has refused the key: that is when it matters
    with pytest.raises(NoEndpointError, match="own keys"):
        plan_credentials(only_beta, refused)
    # its owner may disable it, and then it says nothing any more
    off = own(WorkspaceCredential("k", "beta", "mine", disabled=True, **rule))
    assert ways(plan_credentials(only_beta, off)) == [("beta", None)]


def test_required_is_for_the_models_of_the_key_and_byok_only_for_all():
    plan = plan_of(("beta", "a/m"), ("alpha", "a/m"))
    of_another = {"allowed_models": frozenset({"x/y"})}
    required = own(WorkspaceCredential("k", "beta", "mine", is_required=True, **of_another))
    only = own(WorkspaceCredential("k", "beta", "mine", is_byok_only=True, **of_another))
    assert ways(plan_credentials(plan, required)) == [("beta", None), ("alpha", None)]
    without = plan_credentials(plan, only)
    assert ways(without) == [("alpha", None)]
    assert [(each.provider, each.code) for each in without.excluded] == [("beta", "byok_required")]


def test_a_provider_that_only_the_workspace_can_call_is_called_with_its_key_alone():
    keys = own(WorkspaceCredential("k", "beta", "mine"), unconfigured={"beta"})
    assert ways(plan_credentials(TWO, keys)) == [("beta", "k"), ("alpha", None)]


def test_a_key_is_for_whom_it_is_allowed():
    key = WorkspaceCredential("k", "beta", "mine", allowed_key_ids=frozenset({"key_1"}))
    assert key.is_allowed("key_1", None)
    assert not key.is_allowed("key_2", None)
    mine = WorkspaceCredential("k", "beta", "mine", allowed_user_ids=frozenset({"usr_1"}))
    assert mine.is_allowed("key_2", "usr_1")
    assert not mine.is_allowed("key_2", None)


def test_what_the_callers_key_pays_is_not_held_but_for_the_fee():
    plan = plan_credentials(plan_of(("beta", "a/m")), own(WorkspaceCredential("k", "beta", "mine")))
    held = compute_quotes({}, Operation.CHAT, plan, likely=1, most=1, fee="5")
    assert held.nanos == (5, 100)


def test_who_brings_a_key_is_not_put_in_the_installations_batch():
    plan = plan_of(("beta", "a/m"), batched=True)
    with_key = plan_credentials(plan, own(WorkspaceCredential("k", "beta", "mine")))
    assert not any(with_key[n].batched for n in range(len(with_key)))


def test_a_plan_remembers_whose_key_it_meant():
    plan = plan_credentials(TWO, own(WorkspaceCredential("k", "beta", "mine")))
    assert ways(routing.decode_plan(routing.encode_plan(plan))) == ways(plan)


KEYS = st.builds(
    WorkspaceCredential,
    id=st.uuids().map(str),
    provider=st.sampled_from(["alpha", "beta", "gamma"]),
    name=st.just("mine"),
    is_fallback=st.booleans(),
    is_required=st.booleans(),
    is_byok_only=st.booleans(),
    disabled=st.booleans(),
    is_refused=st.booleans(),
    allowed_models=st.sampled_from([None, frozenset({"a/m"}), frozenset({"b/n"})]),
)
PLACES = st.lists(
    st.tuples(st.sampled_from(["alpha", "beta", "gamma"]), st.sampled_from(["a/m", "b/n"])),
    min_size=1, max_size=6, unique=True,
).map(lambda places: sorted(places, key=lambda each: each[1]))  # fmt: skip


@given(PLACES, st.lists(KEYS, max_size=6))
def test_no_plan_uses_a_key_that_may_not_be_used(places, keys):
    mine = own(*keys)
    try:
        plan = plan_credentials(plan_of(*places), mine)
    except NoEndpointError:
        return
    known = {key.id: key for key in keys}
    for n in range(len(plan)):
        endpoint = plan[n]
        if endpoint.credential is None:
            assert mine.allows_shared(endpoint)
        else:
            key = known[endpoint.credential]
            assert key.provider == endpoint.provider
            assert not key.disabled
            assert key.covers(endpoint.model)
    assert len(ways(plan)) == len({(*way, plan[n].model) for n, way in enumerate(ways(plan))})
