"""Values that the database refuses are 400s; outages are 503s."""

import pytest
from sqlalchemy.exc import DataError, OperationalError
from starlette.testclient import TestClient

from api.app import create_app
from broker.settings import Settings


def test_a_value_that_the_database_refuses_is_a_bad_request():
    app = create_app(Settings())

    @app.get("/api/v1/webhooks/unstorable")
    async def unstorable() -> None:
        raise DataError("SELECT", {}, ValueError("cannot contain NUL (0x00) bytes"))

    answer = TestClient(app).get("/api/v1/webhooks/unstorable")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "SELECT" not in answer.text


@pytest.mark.parametrize(
    ("reason", "status"), [("database or disk is full", 507), ("disk I/O error", 503)]
)
def test_a_database_that_cannot_write_is_a_reason_to_come_back(reason, status):
    app = create_app(Settings())

    @app.get("/api/v1/webhooks/full")
    async def full() -> None:
        raise OperationalError("INSERT", {}, ValueError(reason))

    answer = TestClient(app).get("/api/v1/webhooks/full")
    assert answer.status_code == status
    assert int(answer.headers["retry-after"]) > 0
    assert "again" in answer.json()["detail"]
    assert "INSERT" not in answer.text
