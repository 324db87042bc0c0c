"""A workspace sees no id or text of another's on any route."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st

from tests.api.test_openapi import OPERATIONS
from tests.e2e.hooks import Tenant, tenant_of
from tests.fuzz.drawing import fuzzed
from tests.installation import Installation

MARKER = "a-secret-of-workspace-a"


@dataclass(frozen=True)
class Two:
    """A workspace that has something of every kind, what is its own, and another's key."""

    theirs: tuple[str, ...]  # ids
    other: Tenant


@pytest.fixture(scope="module")
def two(installation: Installation) -> Iterator[Two]:
    with tenant_of(installation, "owner") as owner, tenant_of(installation, "other") as other:
        body = {"model": "sim/sim-echo", "messages": [{"role": "user", "content": MARKER}]}
        job = owner.ended(body=body, metadata={"note": MARKER})
        line = {"custom_id": MARKER, "body": body}
        requests = {"model": "sim/sim-echo", "requests": [line]}
        made = owner.http.post("/batches", json=requests)
        assert made.status_code < 300, made.text
        batch = made.json()
        content = {"file": (f"{MARKER}.txt", MARKER.encode())}
        sent = owner.http.post("/files", data={"purpose": "user_data"}, files=content)
        assert sent.status_code < 300, sent.text
        hook = owner.endpoint("https://example.com/hook", description=MARKER)
        ids = (job["id"], batch["id"], sent.json()["id"], hook["id"], owner.workspace_id)
        for path in (f"/jobs/{ids[0]}", f"/batches/{ids[1]}", f"/files/{ids[2]}"):
            shown = owner.http.get(path).text
            assert MARKER in shown or ids[1] in shown, shown  # else nothing could be found
        yield Two(ids, other)


@pytest.mark.parametrize("label", OPERATIONS)
def test_no_answer_holds_anothers_id_or_text(
    installation: Installation, two: Two, label: str
) -> None:
    @fuzzed(3)
    @given(case=OPERATIONS[label].as_strategy(), chosen=st.sampled_from(two.theirs))
    def keeps_apart(case: schemathesis.Case, chosen: str) -> None:
        for name in case.path_parameters or {}:
            case.path_parameters[name] = chosen
        headers = {**two.other.http.headers, "Prefer": "respond-async"}
        answer = case.call(base_url=installation.root, headers=headers, timeout=30)
        assert answer.status_code < 500, answer.text
        assert MARKER not in answer.text
        sent = f"{answer.request.url} {answer.request.body!r}"
        assert not [each for each in two.theirs if each in answer.text and each not in sent]

    keeps_apart()
