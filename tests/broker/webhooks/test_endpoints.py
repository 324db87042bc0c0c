import pytest

from broker import webhooks
from broker.errors import ConflictError, InvalidRequestError, NotFoundError, UnavailableError
from broker.security.encryption import Encryption
from broker.webhooks import (
    EndpointChange,
    EndpointOptions,
    NewWorkspaceSecret,
    Rotation,
    Scheme,
    SignatureKind,
)
from broker.webhooks import endpoints as endpoints_module
from broker.webhooks.claims import list_valid_secrets
from tests.broker.webhooks.factories import (
    ENCRYPTION,
    URL,
    deliveries,
    delivery,
    endpoint_row,
    make_endpoint,
    tell,
)
from tests.factories import NOW, make_principal, write

DAY = 24 * 3_600_000


def change(database, caller, endpoint_id, **values):
    wish = EndpointChange(
        caller.workspace_id, endpoint_id, NOW, webhooks.build_endpoint_columns(values, ENCRYPTION)
    )
    return write(database, webhooks.update_endpoint, wish)


def test_an_endpoint_keeps_its_secret_sealed():
    row, secret = webhooks.build_endpoint(
        EndpointOptions(URL, headers={"authorization": "Bearer x"}), "ws_1", ENCRYPTION, NOW
    )
    assert secret.startswith("whsec_")
    assert ENCRYPTION.decrypt(row["secret"]) == secret
    assert secret not in str(row)
    assert "Bearer" not in str(row)
    assert row["public_key"] is None
    with pytest.raises(UnavailableError, match="WAYBILL_SECRET_KEY"):
        Encryption(b"another").decrypt(row["secret"])


def test_a_v1a_endpoint_shows_its_public_key():
    wish = EndpointOptions(URL, signature=SignatureKind.V1A)
    row, secret = webhooks.build_endpoint(wish, "ws_1", ENCRYPTION, NOW)
    assert secret.startswith("whsk_")
    assert row["public_key"].startswith("whpk_")


def test_endpoints_are_listed_found_changed_and_deleted(database, caller):
    first, second = (make_endpoint(database, caller.workspace_id) for _ in range(2))
    listed = database.read_now(webhooks.list_endpoints, caller.workspace_id)
    assert {row.id for row in listed} == {first.id, second.id}
    assert change(database, caller, first.id, events=["job.*"], rate_limit=5).events == '["job.*"]'
    found = database.read_now(webhooks.find_endpoint, caller.workspace_id, first.id)
    assert (found.rate_limit, found.url) == (5, URL)
    write(database, webhooks.delete_endpoint, caller.workspace_id, first.id, NOW)
    with pytest.raises(NotFoundError):
        database.read_now(webhooks.find_endpoint, caller.workspace_id, first.id)


def test_a_workspace_has_so_many_endpoints_and_no_more(database, caller, monkeypatch):
    monkeypatch.setattr(endpoints_module, "MAX_ENDPOINTS", 2)
    make_endpoint(database, caller.workspace_id)
    make_endpoint(database, make_principal(database).workspace_id)
    second = make_endpoint(database, caller.workspace_id)
    with pytest.raises(ConflictError):
        make_endpoint(database, caller.workspace_id)
    write(database, webhooks.delete_endpoint, caller.workspace_id, second.id, NOW)
    assert make_endpoint(database, caller.workspace_id).id


def test_strangers_find_nothing(database, caller):
    endpoint = make_endpoint(database, caller.workspace_id)
    stranger = make_principal(database).workspace_id
    for function, *arguments in (
        (webhooks.update_endpoint, EndpointChange(stranger, endpoint.id, NOW, {})),
        (webhooks.rotate_endpoint, Rotation(stranger, endpoint.id, NOW, {})),
        (webhooks.send_test, stranger, endpoint.id, NOW),
        (webhooks.delete_endpoint, stranger, endpoint.id, NOW),
    ):
        with pytest.raises(NotFoundError):
            write(database, function, *arguments)
    assert database.read_now(webhooks.list_endpoints, stranger) == []
    assert endpoint_row(database, endpoint.id)


def test_rotation_leaves_the_old_secret_for_a_while(database, caller):
    endpoint = make_endpoint(database, caller.workspace_id)
    columns, new = webhooks.build_secret_columns(SignatureKind.V1A, ENCRYPTION)
    rotation = Rotation(caller.workspace_id, endpoint.id, NOW, columns)
    row = write(database, webhooks.rotate_endpoint, rotation)
    assert row.signature == "v1a"
    valid = [ENCRYPTION.decrypt(each) for each in list_valid_secrets(row, NOW + DAY - 1)]
    assert valid == [new, ENCRYPTION.decrypt(endpoint.secret)]
    assert list(list_valid_secrets(row, NOW + DAY)) == [row.secret]


def test_a_rotation_that_is_written_twice_leaves_the_old_secret(database, caller):
    endpoint = make_endpoint(database, caller.workspace_id)
    columns, new = webhooks.build_secret_columns(SignatureKind.V1, ENCRYPTION)
    rotation = Rotation(caller.workspace_id, endpoint.id, NOW, columns)
    for _ in range(2):
        row = write(database, webhooks.rotate_endpoint, rotation)
    valid = [ENCRYPTION.decrypt(each) for each in list_valid_secrets(row, NOW)]
    assert valid == [new, ENCRYPTION.decrypt(endpoint.secret)]


def test_a_workspaces_secret_is_made_once_and_rotates(database, caller):
    def wish(sealed, now=NOW):
        return NewWorkspaceSecret(caller.workspace_id, sealed, now)

    assert database.read_now(webhooks.find_workspace_secret, caller.workspace_id) is None
    a = write(database, webhooks.ensure_workspace_secret, wish("one"))
    b = write(database, webhooks.ensure_workspace_secret, wish("two"))
    assert a.secret == b.secret == "one"
    row = write(database, webhooks.rotate_workspace_secret, wish("three"))
    assert list(list_valid_secrets(row, NOW)) == ["three", "one"]
    assert list(list_valid_secrets(row, NOW + DAY)) == ["three"]


def test_disabling_cancels_what_waits_and_enabling_forgives(database, caller):
    endpoint = make_endpoint(database, caller.workspace_id)
    tell(database, caller.workspace_id)
    row = change(database, caller, endpoint.id, disabled=True)
    assert (row.disabled, row.disabled_at) == (True, NOW)
    assert delivery(database).state == "cancelled"
    row = change(database, caller, endpoint.id, disabled=False)
    assert (row.disabled, row.disabled_reason, row.failing_since) == (False, None, None)


def test_deleting_cancels_what_waits(database, caller):
    endpoint = make_endpoint(database, caller.workspace_id)
    tell(database, caller.workspace_id)
    write(database, webhooks.delete_endpoint, caller.workspace_id, endpoint.id, NOW)
    assert delivery(database).state == "cancelled"


def test_a_test_event_passes_every_filter_but_not_a_closed_door(database, caller):
    endpoint = make_endpoint(database, caller.workspace_id, events=["batch.failed"])
    name = (caller.workspace_id, endpoint.id, NOW)
    delivery_id = write(database, webhooks.send_test, *name)
    assert delivery(database, id=delivery_id).event_type == "endpoint.test"
    change(database, caller, endpoint.id, disabled=True)
    with pytest.raises(ConflictError):
        write(database, webhooks.send_test, *name)
    assert len(deliveries(database)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://shop.example/"},
        {"url": "https:///x"},
        {"url": "https://me:pw@shop.example/"},
        {"url": "https://shop.example/a b"},
        {"url": "https://[::1/"},
        {"url": "https://shop.example/" + "x" * 2048},
        {"events": ["job.completd"]},
        {"events": ["*"]},
        {"headers": {"webhook-id": "x"}},
        {"headers": {"Host": "x"}},
        {"headers": {"a b": "x"}},
        {"headers": {"a": "x\r\nb: c"}},
        {"headers": {f"x-{n}": "x" for n in range(21)}},
        {"scheme": Scheme.OPENROUTER, "signature": SignatureKind.V1A},
    ],
)
def test_what_cannot_be_is_refused_with_its_field(wrong):
    wish = EndpointOptions(**({"url": URL} | wrong))
    with pytest.raises(InvalidRequestError) as refusal:
        webhooks.build_endpoint(wish, "ws_1", ENCRYPTION, NOW)
    assert refusal.value.param in wrong
