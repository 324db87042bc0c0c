"""Nobody reaches what is another workspace's: every route that names an object answers 404.

The routes come from the OpenAPI document. A new route joins by itself where its parameter is
known here; where it is not, the test says what to add.
"""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy
from sqlalchemy import Boolean, Integer, LargeBinary, insert, update
from sqlmodel import SQLModel

from api.app import create_app
from broker.accounts import CallerKind, find_key, hash_key
from broker.ids import new_id
from tests.api.conftest import Api, running, settings_for
from tests.stacks import NewDatabase

TABLES = {
    "job_id": ("jobs", "job_"),
    "message_id": ("jobs", "job_"),
    "response_id": ("jobs", "job_"),
    "endpoint_id": ("webhook_endpoints", "whep_"),
    "delivery_id": ("deliveries", "dlv_"),
    "file_id": ("files", "file_"),
    "batch_id": ("batches", "batch_"),
    "evaluation_id": ("evaluations", "eval_"),
    "budget_id": ("budgets", "bud_"),
}
"""A parameter, the table whose ids it takes, and how they begin."""

OTHER = {"comparison_id", "hash", "id", "workspace_id", "workspace_ref", "user_id"}
"""Parameters that name jobs compared, a key, a workspace or a person."""

NOBODYS = {
    *("author", "slug", "name", "model", "interval", "operation", "plugin", "provider", "version"),
}
"""Parameters that name what every workspace may see, or a part of what another one names."""

IN_QUERY = {"workspace_id"}

RUNS = {"/batches/{batch_id}/retry"}
"""Paths that are for keys which run completions."""

document = create_app(settings_for(Path(tempfile.gettempdir()))).openapi()
NAMING = [
    (method.upper(), path.removeprefix("/api/v1"), names)
    for path, methods in document["paths"].items()
    if path.startswith("/api/v1/")
    for method, operation in methods.items()
    if (
        names := tuple(
            each["name"]
            for each in operation.get("parameters", [])
            if (each["in"] == "path" and each["name"] not in NOBODYS) or each["name"] in IN_QUERY
        )
    )
]


def test_every_parameter_that_names_an_object_is_known_here():
    named = {name for *_, names in NAMING for name in names}
    unknown = named - TABLES.keys() - OTHER
    assert not unknown, f"say in {__file__} whose {sorted(unknown)} are: TABLES, OTHER or NOBODYS"
    assert len(NAMING) > 15


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(
    new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Api]:
    """One application for all routes: each test has workspaces of its own."""
    directory = tmp_path_factory.mktemp("isolation")
    with new_database(directory) as url:
        async with running(settings_for(directory, database_url=url)) as api:
            yield api


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("method", "path", "names"), NAMING)
@pytest.mark.parametrize("kind", [CallerKind.INFERENCE, CallerKind.MANAGEMENT])
async def test_what_is_another_workspaces_is_not_found(api: Api, method, path, names, kind):
    victim, stranger = api.workspace("victim"), api.workspace("stranger")
    ids = {name: object_of(api, name, victim) for name in names}
    query = {name: ids[name] for name in names if f"{{{name}}}" not in path}
    asked = path.format(**{**dict.fromkeys(NOBODYS, "x"), **ids})
    body = {} if "members" not in path else {"user_ids": ["usr_x"]}
    if method == "PUT":
        body = {"limit_usd": 1}
    answer = await api.ask(method, asked, api.key(stranger, kind=kind), json=body, params=query)
    # 403 comes before any look-up: this caller has no business here, whatever there is
    may_be_403 = kind is CallerKind.INFERENCE or "user_id" in names or query or path in RUNS
    allowed = {403, 404} if may_be_403 else {404}
    assert answer.status_code in allowed, answer.text
    if kind is CallerKind.MANAGEMENT:
        absent = {name: value[:-6] + "000000" for name, value in ids.items()}
        path_of_nothing = path.format(**{**dict.fromkeys(NOBODYS, "x"), **absent})
        nothing = await api.ask(
            method, path_of_nothing, api.key(stranger, kind=kind), json=body,
            params={name: absent[name] for name in query},
        )  # fmt: skip
        assert nothing.status_code == answer.status_code  # nor is it told that there is one


def object_of(api: Api, name: str, workspace_id: str) -> str:
    """The id of an object of this workspace."""
    if name in TABLES:
        table, prefix = TABLES[name]
        return insert_row(api, table, prefix, workspace_id)
    if name == "comparison_id":
        return insert_comparison(api, workspace_id)
    if name == "hash":
        return str(api.database.read_now(row_of_key, api.key(workspace_id)).hash)
    if name == "user_id":
        return "usr_01ABCDEFGHJKMNPQRSTVWXYZ00"
    return workspace_id


def row_of_key(connection: Any, key: str) -> Any:
    return find_key(connection, hash_key(key))


def insert_row(api: Api, name: str, prefix: str, workspace_id: str) -> str:
    """Insert a row with something in every column that must have it."""
    table = SQLModel.metadata.tables[name]
    row: dict[str, Any] = {"id": new_id(prefix), "workspace_id": workspace_id}
    for column in table.columns:
        must = not column.nullable and column.default is None and column.server_default is None
        if must and column.name not in row:
            row[column.name] = something(column.type)
    with api.database.transaction() as connection:
        connection.execute(insert(table).values(row))
    return str(row["id"])


def insert_comparison(api: Api, workspace_id: str) -> str:
    """Insert a job that is a cell of a comparison, which is its jobs and nothing else."""
    job_id, comparison_id = insert_row(api, "jobs", "job_", workspace_id), new_id("cmp_")
    jobs, payloads = (SQLModel.metadata.tables[name] for name in ("jobs", "job_payloads"))
    bodies = {"job_id": job_id, "request": b'{"messages": []}', "plan": b"[]"}
    with api.database.transaction() as connection:
        connection.execute(update(jobs).filter_by(id=job_id).values(batch_id=comparison_id))
        cell = '{"comparison": {"row": 0, "column": 0}}'
        connection.execute(insert(payloads).values(**bodies, extra=cell))
    return comparison_id


def something(kind: Any) -> Any:
    """A value that a column of this kind takes."""
    if isinstance(kind, sqlalchemy.Enum):
        return kind.enums[0]
    if isinstance(kind, Integer | Boolean):
        return 1
    return b"{}" if isinstance(kind, LargeBinary) else "x"
