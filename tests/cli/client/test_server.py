import httpx
import pytest

from cli.client.client import Client
from cli.client.server import Server, ServerError, configured


def asked(answer):
    def handle(_request):
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = Client(Server("http://w", "k", "THE_KEY"), httpx.MockTransport(handle))
    with pytest.raises(ServerError) as caught:
        client.get("/jobs")
    return str(caught.value)


def test_a_problem_document_gives_its_detail():
    response = httpx.Response(
        404, json={"title": "not found", "status": 404, "detail": "No job x."}
    )
    assert asked(response) == "No job x. (HTTP 404)"


def test_an_envelope_gives_its_message():
    response = httpx.Response(402, json={"error": {"code": 402, "message": "Add credits."}})
    assert asked(response) == "Add credits. (HTTP 402)"


def test_an_answer_of_something_else_is_shortened():
    response = httpx.Response(502, text="<html>\n<b>Bad</b>\n" + "x" * 1000)
    assert asked(response).startswith("<html> <b>Bad</b> xxx")
    assert len(asked(response)) < 330


def test_a_refused_key_names_where_it_came_from():
    response = httpx.Response(401, json={"detail": "unknown"})
    assert asked(response) == "http://w refused the API key of THE_KEY: unknown"


def test_no_server_says_how_to_start_one():
    assert asked(httpx.ConnectError("x")) == "no Waybill at http://w: start one with `waybill up`"


def test_a_page_that_is_no_waybill():
    assert (
        asked(httpx.Response(200, text="hello"))
        == "http://w is not a Waybill: its answer is not JSON"
    )


def test_a_key_is_never_shown():
    assert "sk-secret" not in repr(Server("http://w", "sk-secret"))


@pytest.mark.parametrize(
    "url", ["http://h:1", "http://h:1/", "http://h:1/api/v1", "http://h:1/v1/"]
)
def test_the_url_may_be_that_of_an_openai_client(url):
    assert configured({"WAYBILL_URL": url}).api == "http://h:1/api/v1"


def test_keys_are_looked_for_in_order(tmp_path):
    (tmp_path / "api_key").write_text("from-file\n")
    environ = {"WAYBILL_DATA_DIR": str(tmp_path)}
    assert configured(environ).key == "from-file"
    environ["WAYBILL_BOOTSTRAP_KEY"] = "bootstrap"
    assert configured(environ).key == "bootstrap"
    environ["WAYBILL_API_KEY"] = "mine"
    assert configured(environ).key == "mine"
