"""What the database does not take: a mistake of the caller's, or a trouble that passes."""

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


def test_a_database_that_cannot_write_is_a_reason_to_come_back():
    app = create_app(Settings())

    @app.get("/api/v1/webhooks/full")
    async def full() -> None:
        raise OperationalError("INSERT", {}, ValueError("database or disk is full"))

    answer = TestClient(app).get("/api/v1/webhooks/full")
    assert answer.status_code == 503
    assert "Idempotency-Key" in answer.json()["detail"]
    assert "INSERT" not in answer.text
