"""What PostgreSQL does not take is the caller's mistake, not ours."""

from sqlalchemy.exc import DataError
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
