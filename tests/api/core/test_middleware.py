"""Headers of every exchange: request ids, and CORS for pages of other origins."""

import contextlib

import pytest

from api.core.middleware import EXPOSED
from tests.api.conftest import running, settings_for

PAGE = "https://app.example.com"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,idempotency-key,x-stainless-lang",
}


@pytest.mark.parametrize("path", ["/api/v1/models", "/api/v1/nothing", "/api/v1/key", "/health"])
async def test_every_response_has_a_request_id_of_its_own(api, path):
    answers = [await api.http.get(path) for _ in range(2)]
    first, second = (answer.headers["x-request-id"] for answer in answers)
    assert first.startswith("req_")
    assert first != second


@pytest.mark.parametrize("given", ["abc-123", "trace/01:x;y=1"])
async def test_the_callers_request_id_is_kept(api, given):
    answer = await api.http.get("/api/v1/models", headers={"X-Request-Id": given})
    assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "two words", "é".encode(), "x" * 129])
async def test_an_unusable_request_id_is_replaced(api, given):
    answer = await api.http.get("/api/v1/models", headers={"X-Request-Id": given})
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.fixture
async def failing(api, monkeypatch):
    """An application whose list of models raises what nobody expects."""

    async def fail(*_args, **_kwargs):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(api.app.state.services.keyring, "principal", fail)
    return api


async def test_an_unexpected_error_has_a_request_id_and_no_detail(failing):
    answer = await failing.http.get("/api/v1/key", headers={"X-Request-Id": "mine"})
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "mine"
    assert "secret detail" not in answer.text
    assert answer.json()["error"]["code"] == 500


@contextlib.asynccontextmanager
async def opened(database_url, tmp_path, *origins):
    async with running(
        settings_for(tmp_path, database_url=database_url, cors_origins=origins)
    ) as api:
        yield api


async def test_no_page_may_call_unless_it_is_allowed(api):
    preflight = await api.http.options("/api/v1/chat/completions", headers=PREFLIGHT)
    assert "access-control-allow-origin" not in preflight.headers
    answer = await api.http.get("/api/v1/models", headers={"Origin": PAGE})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(("origins", "allowed"), [(("*",), "*"), ((PAGE,), PAGE)])
async def test_an_allowed_page_may_call(database_url, tmp_path, origins, allowed):
    async with opened(database_url, tmp_path, *origins) as api:
        preflight = await api.http.options("/api/v1/chat/completions", headers=PREFLIGHT)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == allowed
        assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
        # Errors are readable for the page, too
        answer = await api.http.post("/api/v1/chat/completions", headers={"Origin": PAGE})
        assert answer.status_code == 401
        assert answer.headers["access-control-allow-origin"] == allowed
        assert answer.headers["access-control-expose-headers"].split(", ") == list(EXPOSED)
        assert "access-control-allow-credentials" not in answer.headers


async def test_another_page_may_not(database_url, tmp_path):
    async with opened(database_url, tmp_path, PAGE) as api:
        other = PREFLIGHT | {"Origin": "https://elsewhere.example"}
        preflight = await api.http.options("/api/v1/chat/completions", headers=other)
        assert "access-control-allow-origin" not in preflight.headers


async def test_pages_with_a_session_stay_closed_to_other_origins(database_url, tmp_path):
    async with opened(database_url, tmp_path, "*") as api:
        answer = await api.http.get("/sign-in", headers={"Origin": PAGE})
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origin", ["app.example.com", "https://a.example/x", "ftp", "https://"])
def test_an_origin_that_no_browser_sends_is_refused(tmp_path, origin):
    with pytest.raises(ValueError, match="is not an origin"):
        settings_for(tmp_path, cors_origins=origin)


def test_origins_are_read_from_one_line(tmp_path):
    line = "https://a.example, http://localhost:3000/"
    read = settings_for(tmp_path, cors_origins=line).cors_origins
    assert read == ("https://a.example", "http://localhost:3000")
