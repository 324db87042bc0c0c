"""Credit, usage and budgets of a running Waybill, as OpenRouter's SDK and plain HTTP see them."""

import csv
import io
import uuid

import httpx
import pytest
from openrouter import OpenRouter
from openrouter.errors import PaymentRequiredResponseError

from broker import accounts
from broker.storage.database import Database
from tests.installation import chat


class Office:
    """A workspace with ten dollars or less, an inference key and a management key."""

    def __init__(self, installation, credit=10):
        self.installation = installation
        self.name = f"office-{uuid.uuid4().hex[:8]}"
        database = Database(installation.stack.database_url)
        with database.transaction() as connection:
            self.id = accounts.create_workspace(connection, self.name, unlimited=False)
            self.key = accounts.create_key(connection, self.id, "inference")
            made = accounts.create_key(
                connection, self.id, "management", kind="management", everywhere=True
            )
        database.close()
        self.http = self._client(self.key.key)
        self.management = self._client(made.key)
        self.management_key = made.key
        self.pay(credit)

    def _client(self, key):
        headers = {
            "Authorization": f"Bearer {key}",
            "X-Title": "Tests",
            "HTTP-Referer": "https://t.example/x",
        }
        return httpx.Client(base_url=self.installation.url, headers=headers, timeout=60)

    def pay(self, amount, reference=None):
        body = {"amount": amount, "reference": reference or uuid.uuid4().hex}
        return self.management.post("/credits", json=body)

    def ask(self, **more):
        return self.http.post("/chat/completions", json=chat("sim-echo", "Hello there", **more))

    def sdk(self, key):
        return OpenRouter(api_key=key, server_url=self.installation.url)


@pytest.fixture(scope="module")
def office(installation):
    office = Office(installation)
    yield office
    office.http.close()
    office.management.close()


def test_credit_goes_down_by_what_answers_cost(office):
    before = office.http.get("/credits").json()["data"]
    answer = office.ask().json()
    after = office.http.get("/credits").json()["data"]
    assert before["total_credits"] == after["total_credits"] >= 10
    spent = after["total_usage"] - before["total_usage"]
    assert spent == pytest.approx(answer["usage"]["cost"])
    assert spent > 0
    with office.sdk(office.management_key) as client:
        assert client.credits.get_credits().data.total_credits == after["total_credits"]


def test_a_payment_is_booked_once_and_only_by_who_may(office):
    first, again = office.pay(1, "inv-7"), office.pay(1, "inv-7")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["data"]["total_credits"] == again.json()["data"]["total_credits"]
    refused = office.http.post("/credits", json={"amount": 1, "reference": "mine"})
    assert refused.status_code == 403
    wrong = office.management.post("/credits", json={"amount": -1, "reference": "x"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "amount")


def test_who_cannot_pay_is_told_the_sum(installation):
    # Given a workspace with a fraction of a cent
    office = Office(installation, credit=0.000001)
    # When it asks for a long answer
    asked = {"model": "sim/sim", "messages": [{"role": "user", "content": "Hello"}]}
    with office.sdk(office.key.key) as client, pytest.raises(PaymentRequiredResponseError) as told:
        client.chat.send(**asked, max_tokens=50_000)
    # Then it hears the sum, for all that it asked for
    message = told.value.data.error.message
    assert "50,000 output tokens (as asked)" in message
    assert "max_tokens" in message


def test_a_generation_shows_where_it_came_from(office):
    answer = office.ask(user="u-9", session_id="s-9", metadata={"order": "9"}).json()
    with office.sdk(office.key.key) as client:
        data = client.generations.get_generation(id=answer["id"]).data
    assert (data.total_cost, data.http_referer) == (answer["usage"]["cost"], "https://t.example/x")
    assert (data.session_id, data.external_user) == ("s-9", "u-9")
    [tried] = data.provider_responses
    assert (tried.provider_name, tried.status) == ("sim", 200)
    said = office.http.get("/generation/content", params={"id": answer["id"]}).json()["data"]
    assert said["input"]["messages"][0]["content"] == "Hello there"
    assert said["output"]["completion"] == answer["choices"][0]["message"]["content"]
    [found] = office.http.get("/jobs", params={"metadata[order]": "9"}).json()["data"]
    assert f"gen-{found['id'][4:]}" == answer["id"]


def test_usage_is_told_by_app_and_model_as_json_and_csv(office):
    office.ask()
    body = {
        "metrics": ["request_count", "total_usage"],
        "dimensions": ["app", "model"],
        "granularity": "day",
        "workspace_id": office.id,
    }
    told = office.management.post("/analytics/query", json=body).json()["data"]
    [row] = told["data"]
    assert (row["app"], row["model"]) == ("Tests", "sim/sim-echo")
    assert row["total_usage"] == pytest.approx(
        office.http.get("/credits").json()["data"]["total_usage"]
    )
    text = office.management.post("/analytics/query", params={"format": "csv"}, json=body).text
    [line] = csv.DictReader(io.StringIO(text))
    assert int(float(line["request_count"])) == row["request_count"]
    with office.sdk(office.management_key) as client:
        meta = client.analytics.get_analytics_meta().data
        assert {"request_count", "total_usage"} <= {metric.name for metric in meta.metrics}
        result = client.analytics.query_analytics(metrics=["request_count"]).data
        assert result.metadata.row_count == 1
        assert client.analytics.get_user_activity().data == []  # today is not over


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"metrics": ["nothing"]}, "metrics"),
        ({"metrics": []}, "metrics"),
        ({"dimensions": ["app", "model", "user"]}, "dimensions"),
        ({"granularity": "decade"}, "granularity"),
        ({"filters": [{"field": "model", "operator": "in", "value": "x"}]}, "filters.value"),
        ({"order_by": {"field": "total_usage"}}, "order_by.field"),
        (
            {"time_range": {"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}},
            "time_range",
        ),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(office, change, param):
    body = {"metrics": ["request_count"]} | change
    answer = office.management.post("/analytics/query", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_workspaces_budget_refuses_with_403(installation):
    # Given a budget that is used up
    office = Office(installation)
    where = f"/workspaces/{office.id}/budgets"
    put = office.management.put(f"{where}/daily", json={"limit_usd": 0.0000001})
    assert (put.status_code, put.json()["data"]["reset_interval"]) == (200, "daily")
    with office.sdk(office.management_key) as client:
        [listed] = client.workspaces.list_budgets(workspace_ref=office.id).data
        assert listed.limit_usd == 0.0000001
    # When the next job comes
    refused = office.ask()
    # Then it is refused, until the budget is gone
    assert refused.status_code == 403
    metadata = refused.json()["error"]["metadata"]
    assert metadata["budget"]["reset_interval"] == "daily"
    assert office.management.delete(f"{where}/daily").status_code == 200
    assert office.management.get(f"{where}/daily").status_code == 404
    assert office.ask().status_code in (200, 403)  # a key is looked up once a second


def test_strangers_set_no_budgets(office, installation):
    body = {"limit_usd": 5}
    put = office.http.put(f"/workspaces/{office.id}/budgets/daily", json=body)
    assert put.status_code == 403
    other = office.http.put("/workspaces/ws_default/budgets/daily", json=body)
    assert other.status_code == 403  # whether that workspace is there or not
