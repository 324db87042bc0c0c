"""One batch over providers that speak different wires, and over different operations.

Complaint: output of other vendors' batches could not be fetched, and had no custom_id.
"""

import pytest

from tests.e2e.batching import content, cost_of, create, ended, line, lines_of, results
from tests.e2e.wires import WIRES
from tests.installation import Installation
from tests.stacks import any_stack

pytestmark = any_stack


def test_every_wire_answers_in_one_form(wires: Installation) -> None:
    lines = []
    for wire in WIRES:
        each = line(wire, prompt=f"say {wire}")
        each["body"]["model"] = f"{wire}/sim-echo"
        lines.append(each)
    batch = ended(wires, create(wires, lines)["id"])
    assert batch["request_counts"]["completed"] == len(WIRES), results(wires, batch["id"])
    found = {each["custom_id"]: each for each in lines_of(wires, batch["output_file_id"])}
    assert {name: content(each) for name, each in found.items()} == {
        wire: f"say {wire}" for wire in WIRES
    }
    assert {each["response"]["body"]["object"] for each in found.values()} == {"chat.completion"}
    assert batch["usage"]["cost"] == pytest.approx(cost_of(found.values()))


def test_every_operation_on_any_line(wires: Installation) -> None:
    bodies = {
        "/v1/embeddings": {"model": "openai/sim", "input": "a text"},
        "/v1/completions": {"model": "openai/sim", "prompt": "Once"},
        "/v1/images/generations": {"model": "openai/sim", "prompt": "A lighthouse"},
        "/v1/chat/completions": {"model": "openai/sim-echo", **line("x")["body"]}
        | {"model": "openai/sim-echo"},
    }
    lines = [{"custom_id": url, "url": url, "body": body} for url, body in bodies.items()]
    batch = ended(wires, create(wires, lines, endpoint="/v1/embeddings")["id"])
    found = results(wires, batch["id"])
    assert batch["request_counts"]["completed"] == 4, found
    assert found["/v1/embeddings"]["response"]["body"]["data"][0]["embedding"]
    assert found["/v1/completions"]["response"]["body"]["choices"][0]["text"]
    (picture,) = found["/v1/images/generations"]["response"]["body"]["data"]
    output = wires.http.get(f"/files/{batch['output_file_id']}/content").text
    assert picture["url"] in output  # what a worker writes leads where the API listens
    path = picture["url"].partition("/api/v1")[2]
    assert wires.http.get(path).headers["content-type"].startswith("image/")
