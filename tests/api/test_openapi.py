"""No generated request to a route of the OpenAPI document gets a 5xx."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error

from api.app import create_app
from broker.settings import Settings
from tests.e2e.hooks import Tenant, tenant_of
from tests.installation import Installation

EXAMPLES = 15  # requests to each route
ENDLESS = ("/events",)

document = schemathesis.openapi.from_dict(create_app(Settings()).openapi())
OPERATIONS = {
    found.ok().label: found.ok()
    for found in document.get_all_operations()
    if not found.ok().path.endswith(ENDLESS)
}


@pytest.fixture(scope="module")
def tenant(installation: Installation) -> Iterator[Tenant]:
    """A workspace of its own: what is created here sends nobody else's jobs anywhere."""
    with tenant_of(installation, "fuzzed") as tenant:
        yield tenant


@pytest.mark.parametrize("label", OPERATIONS)
def test_no_request_breaks_the_server(
    installation: Installation, tenant: Tenant, label: str
) -> None:
    @given(case=OPERATIONS[label].as_strategy(), known=st.booleans())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def survives(case: schemathesis.Case, known: bool) -> None:
        if known and isinstance(case.body, dict) and "model" in case.body:
            case.body["model"] = "sim/sim-echo"  # else hardly a request is worth accepting
        headers = {**tenant.http.headers, "Prefer": "respond-async"}
        answer = case.call(base_url=installation.root, headers=headers, timeout=30)
        case.validate_response(answer, checks=[not_a_server_error])

    survives()
