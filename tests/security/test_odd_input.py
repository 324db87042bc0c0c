"""Input that once ended in a 500, in a 503, or in another host's name."""

import io

import pytest
from rich.console import Console

from broker.security.signed_links import Signer, is_same
from cli.commands.jobs import render_job

ELSEWHERE = {"Host": "evil.example"}
QUERY = {"metrics": ["requests"]}


@pytest.mark.parametrize("given", ["é", "\ud83d", "", "x" * 10_000])
def test_any_signature_can_be_compared(given):
    assert not Signer(b"key").is_valid("file_1", 10**12, given)
    assert not is_same("known", given)


async def test_a_signature_that_is_not_ascii_opens_no_file(api):
    answer = await api.http.get(
        "/api/v1/files/file_x/content", params={"expires": "9999999999", "signature": "é"}
    )
    assert answer.status_code in {401, 403, 404}


async def test_a_verifier_that_is_not_ascii_opens_nothing(api):
    body = {"code": "no-such-code", "code_verifier": "é"}
    answer = await api.http.post("/api/v1/auth/keys", json=body)
    assert answer.status_code in {400, 403}


@pytest.mark.parametrize("amount", [True, "5", None, -1, 0])
async def test_an_amount_is_a_number(api, amount):
    body = {"workspace_id": api.workspace(), "amount": amount, "reference": "r-1"}
    answer = await api.ask("POST", "/credits", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "amount"


@pytest.mark.parametrize("path", ["/api/v1/models/", "/v1/models/?limit=1", "/api/v1/jobs/"])
async def test_a_slash_too_many_leads_to_this_host(api, path):
    answer = await api.http.get(path, headers=ELSEWHERE)
    assert answer.status_code == 307
    assert answer.headers["location"] == path.replace("/?", "?").rstrip("/")


async def test_a_slash_too_many_where_nothing_is_leads_nowhere(api):
    assert (await api.http.get("/api/v1/nothing/", headers=ELSEWHERE)).status_code == 404
    assert (await api.http.get("//evil.example/", headers=ELSEWHERE)).status_code == 404


async def test_links_do_not_name_the_callers_host(api):
    answer = await api.http.get("/api/v1/models?limit=1", headers=ELSEWHERE)
    assert answer.json()["links"]["next"] == "/api/v1/models?limit=1&offset=1"


async def test_a_filter_has_a_bounded_list(api):
    filters = [{"field": "model", "operator": "in", "value": ["m"] * 100_000}]
    answer = await api.ask("POST", "/analytics/query", json=QUERY | {"filters": filters})
    assert answer.status_code == 400
    assert "filters" in answer.json()["error"]["param"]


def test_what_a_caller_wrote_moves_no_cursor():
    job = dict.fromkeys(
        ("id", "status", "model", "lane", "created_at", "started_at", "ended_at", "usage"), None
    )
    job |= {"id": "job_1", "status": "completed", "queue_position": None, "created_at": 1}
    job |= {"plan": [], "attempts": [], "metadata": {"na\x1b[2Jme": "va\x1b]0;x\x07lue"}}
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=False, width=200)
    for part in render_job(job):
        console.print(part)
    assert "\x1b" not in shown.getvalue()
    assert r"na\x1b[2Jme" in shown.getvalue()
