"""No route runs anything past the money: pass-through routes that ignore budgets are a known hole.

The routes are those of test_permissions that serve inference keys alone: a new one is asked, too.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import func, select

from broker.storage.tables import Job
from tests.api.conftest import Api, running, settings_for
from tests.api.test_permissions import ROUTES, RUNS
from tests.stacks import NewDatabase

LATER = {
    "POST /batches",
    "POST /batches/{batch_id}/retry",
    "POST /evaluations",
    "POST /messages/batches",
}  # their lines wait for money
DRY = {"POST /route", "POST /messages/count_tokens"}  # it says what would be done
PAYING = [route for route, (served, _) in ROUTES.items() if served == RUNS]
TOO_LITTLE = {402, 403}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(
    new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Api]:
    directory = tmp_path_factory.mktemp("paying")
    with new_database(directory) as url:
        async with running(settings_for(directory, database_url=url)) as api:
            yield api


async def asked(api: Api, key: str, route: str) -> int:
    method, path = route.split()
    answer = await api.ask(method, path, key, json=ROUTES[route][1])
    return answer.status_code


def jobs_of(api: Api, workspace_id: str) -> int:
    query = select(func.count()).select_from(Job.__table__).filter_by(workspace_id=workspace_id)
    return int(api.database.read_now(lambda connection: connection.execute(query).scalar_one()))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("route", sorted(set(PAYING) - LATER - DRY))
async def test_who_cannot_pay_is_refused_and_nothing_is_run(api: Api, route: str) -> None:
    poor = api.workspace(route, unlimited=False)
    assert await asked(api, api.key(poor), route) == 402
    # Nor does a key pass its own limit, or a budget, where its workspace could pay
    rich = api.workspace(f"{route} rich")
    assert await asked(api, api.key(rich, limit_nanos=1), route) == 402
    await api.ask("PUT", f"/workspaces/{rich}/budgets/daily", json={"limit_usd": 0.000000001})
    assert await asked(api, api.key(rich), route) == 403
    assert jobs_of(api, poor) == jobs_of(api, rich) == 0


@pytest.mark.asyncio(loop_scope="module")
async def test_who_has_just_paid_is_served_at_once(api: Api) -> None:
    """A copy of the balance that lags behind refuses those who have paid."""
    workspace_id = api.workspace("paying", unlimited=False)
    key = api.key(workspace_id)
    for number in range(3):
        assert await asked(api, key, "POST /jobs") == 402
        paid = {"workspace_id": workspace_id, "amount": 0.1, "reference": f"inv-{number}"}
        assert (await api.ask("POST", "/credits", json=paid)).status_code == 201
        spent = 0
        while (status := await asked(api, key, "POST /jobs")) == 202:
            spent += 1
        assert (status, spent > 0) == (402, True)
