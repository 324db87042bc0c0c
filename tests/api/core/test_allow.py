"""A method that a path does not have is answered with 405 and all that it does have."""

import re

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from broker.settings import Settings

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
APP = create_app(Settings.model_construct(models=[], providers=[]))
PATHS = APP.openapi()["paths"]
PARAMETER = re.compile(r"\{[^}]*\}")


@pytest.mark.parametrize("template", PATHS)
def test_405_names_every_method_of_the_path(template):
    http = TestClient(APP, raise_server_exceptions=False)  # not entered: nothing is connected
    path = PARAMETER.sub("x", template)
    allowed = {
        method.upper()
        for other, operations in PATHS.items()
        if re.fullmatch(PARAMETER.sub("[^/]+", other), path)
        for method in operations
    }
    for method in set(METHODS) - allowed:
        answer = http.request(method, path)
        assert answer.status_code == 405, (method, path)
        assert set(answer.headers["allow"].split(", ")) == allowed
