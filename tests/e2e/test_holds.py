"""Attacks on a small balance: many calls at once, priced by other units or full of hidden text."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.test_money import Office

AT_ONCE = 12
SPEECH = {"model": "priced/voice", "input": "x" * 4_000, "voice": "alloy"}  # 0.06 USD
ARGUMENTS = "y" * 100_000
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": ARGUMENTS}}
HIDDEN = {
    "model": "priced/chat",
    "max_tokens": 10,
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "1", "content": "done"},
    ],
}  # 0.075 USD or so, and 0.3 USD at most
ENDLESS = {"model": "priced/chat", "messages": [{"role": "user", "content": "hi"}]}  # 0.12 USD


@pytest.mark.parametrize(
    ("path", "body", "credit", "bound"),
    [
        ("/audio/speech", SPEECH, 0.01, 0),
        ("/audio/speech", SPEECH, 0.13, 0),
        ("/chat/completions", HIDDEN, 0.01, 0),
        ("/chat/completions", HIDDEN, 0.1, 0.31),
        ("/chat/completions", ENDLESS, 0.05, 0.13),
    ],
)
def test_calls_at_once_pass_a_balance_by_one_call_at_most(installation, path, body, credit, bound):
    office = Office(installation, credit=credit)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        calls = [pool.submit(office.http.post, path, json=body) for _ in range(AT_ONCE)]
        statuses = {call.result().status_code for call in calls}
    used = office.http.get("/credits").json()["data"]
    assert 402 in statuses
    assert statuses <= {200, 402}
    assert used["total_usage"] <= credit + bound


def test_a_workspace_without_credit_speaks_nothing(installation):
    office = Office(installation, credit=0.000001)
    answer = office.http.post("/audio/speech", json=SPEECH)
    assert answer.status_code == 402
    assert "4,000 characters" in answer.json()["error"]["message"]


def test_a_keys_limit_holds_for_every_unit(installation):
    office = Office(installation)
    made = office.management.post(
        "/keys", json={"name": "small", "limit": 0.01, "workspace_id": office.id}
    )
    headers = {"Authorization": f"Bearer {made.json()['key']}"}
    answers = [office.http.post("/audio/speech", json=SPEECH, headers=headers) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {402}
    assert "limit of this key" in answers[0].json()["error"]["message"]
