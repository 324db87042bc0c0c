"""A key without the scope `presets` reads a preset's prompt in what its own calls left behind."""

import pytest

from tests.factories import job_row

PROMPT = "the operator's secret prompt"
SAVED = {"model": "acme/small", "messages": [{"role": "system", "content": PROMPT}]}
SAID = [{"role": "user", "content": "hello"}]


@pytest.fixture
async def small(api):
    """A key without scopes, in a workspace that has the preset `tone`."""
    saved = await api.ask("POST", "/presets/tone/chat/completions", api.key(), json=SAVED)
    assert saved.status_code < 300, saved.text
    return api.key(scopes="[]")


@pytest.mark.parametrize(
    "named", [{"preset": "tone"}, {"model": "@preset/tone"}, {"model": "acme/small@preset/tone"}]
)
async def test_the_prompt_is_used_and_not_shown(api, small, named):
    made = await api.ask("POST", "/jobs", small, json={"body": {"messages": SAID, **named}})
    assert made.status_code == 202, made.text
    job_id = made.json()["id"]
    generation = f"/generation/content?id=gen-{job_id.removeprefix('job_')}"
    shown = await api.ask("GET", generation, small)
    assert shown.json()["data"]["input"] == {"messages": SAID}
    for path in (f"/jobs/{job_id}", "/jobs", generation, "/presets", "/presets/tone"):
        assert PROMPT not in (await api.ask("GET", path, small)).text, path
    # Then a key that may read presets and all jobs sees what was sent
    told = (await api.ask("GET", generation, api.key())).json()["data"]["input"]["messages"]
    assert told == [*SAVED["messages"], *SAID]
    assert job_row(api.database, job_id).model == "acme/small"


async def test_neither_plans_nor_refusals_show_it(api, small):
    body = {"preset": "tone", "messages": SAID}
    plan = await api.ask("POST", "/route", small, json=body)
    assert plan.status_code == 200
    refused = await api.ask("POST", "/route", small, json=body | {"temperature": "hot"})
    assert refused.status_code == 400
    assert PROMPT not in plan.text + refused.text


async def test_a_callers_own_instruction_stays(api, small):
    own = [{"role": "system", "content": "be brief"}, *SAID]
    made = await api.ask("POST", "/jobs", small, json={"body": {"preset": "tone", "messages": own}})
    generation = f"/generation/content?id=gen-{made.json()['id'].removeprefix('job_')}"
    assert (await api.ask("GET", generation, small)).json()["data"]["input"] == {"messages": own}


async def test_a_key_of_jobs_alone_reads_others_jobs_without_it(api, small):
    made = await api.ask(
        "POST", "/jobs", small, json={"body": {"preset": "tone", "messages": SAID}}
    )
    generation = f"/generation/content?id=gen-{made.json()['id'].removeprefix('job_')}"
    shown = await api.ask("GET", generation, api.key(scopes='["jobs"]'))
    assert shown.json()["data"]["input"] == {"messages": SAID}
