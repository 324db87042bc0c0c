"""A query says what its route knows, or is refused: nothing in it is passed over in silence."""

import pytest

from broker.ids import new_id
from tests.api.conftest import Api

LISTS = {
    "/jobs": "job_",
    "/files": "file_",
    "/batches": "batch_",
    "/webhooks/deliveries": "dlv_",
    "/audit": "aud_",
}

SLIPS = [
    ("/jobs", "stauts", "status"),
    ("/files", "porpose", "purpose"),
    ("/batches", "afer", "after"),
    ("/audit", "actors", "actor"),
    ("/keys", "include_disable", "include_disabled"),
    ("/models", "suported_parameters", "supported_parameters"),
    ("/webhooks/deliveries", "endpoint", "endpoint_id"),
]


async def refused(api: Api, path: str, **query: str) -> tuple[str, str]:
    """Return the problem of a query: the parameter and the message."""
    answer = await api.ask("GET", path, api.manager(), params=query)
    assert answer.status_code == 400, answer.text
    told = answer.json()
    error = told.get("error") or {"param": told["param"], "message": told["detail"]}
    return error["param"], error["message"]


@pytest.mark.parametrize(("path", "prefix"), LISTS.items())
async def test_a_cursor_is_an_id_of_the_list_be_it_still_there_or_not(
    api: Api, path: str, prefix: str
) -> None:
    body = new_id("")
    for cursor in ("xx", prefix, f"{prefix}x", body, f"led_{body}", f"{prefix}{body}x"):
        param, message = await refused(api, path, after=cursor)
        assert param == "after"
        assert "last_id" in message
    answer = await api.ask("GET", path, api.manager(), params={"after": new_id(prefix)})
    assert (answer.status_code, answer.json()["data"]) == (200, [])


async def test_the_name_that_was_meant_is_told(api: Api) -> None:
    for path, wrong, near in SLIPS:
        param, message = await refused(api, path, **{wrong: "x"})
        assert param == wrong
        assert f" {near} is meant" in message
    assert "limit, order, purpose" in (await refused(api, "/files", zzz="1"))[1]
    assert "takes none" in (await refused(api, "/credits", zzz="1"))[1]


async def test_what_other_apis_clients_send_along_is_passed_over(api: Api) -> None:
    for query in ({"use_rss": "true"}, {"beta": "true"}, {"api-version": "2024-06-01"}):
        assert (await api.ask("GET", "/models", params=query)).status_code == 200


async def test_metadata_may_have_any_name_where_it_is_a_filter(api: Api) -> None:
    metadata = {"metadata[customer]": "42"}
    assert (await api.ask("GET", "/jobs", api.key(), params=metadata)).status_code == 200
    assert (await refused(api, "/files", **metadata))[0] == "metadata[customer]"


async def test_a_nul_is_refused_by_its_parameters_name(api: Api) -> None:
    for path, name in (("/jobs", "model"), ("/jobs", "metadata[a]"), ("/audit", "actor")):
        assert (await refused(api, path, **{name: "a\0b"}))[0] == name


@pytest.mark.parametrize(
    "path",
    ["/jobs?limit=x", "/jobs?nonsense=1", "/batches?limit=-1", "/keys?offset=x", "/files?limit=x"],
)
async def test_without_a_key_nothing_is_told_of_the_query(api, path):
    answer = await api.http.get(f"/api/v1{path}")
    assert answer.status_code == 401
    assert (await api.ask("GET", path)).status_code in (400, 403)


async def test_where_no_key_is_needed_the_query_is_checked(api):
    assert (await api.http.get("/api/v1/models?limit=x")).status_code == 400
