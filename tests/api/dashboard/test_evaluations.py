"""Evaluations over the forms of the pages."""

import re

import pytest

from tests.api.visitors import make_user, sign_in, token_of


@pytest.fixture
async def ada(api, browser):
    make_user(api)
    await sign_in(browser)
    return browser


async def start(browser, file=None, **fields):
    page = await browser.get("/w/default/evaluations/new")
    fields = {"models": "acme/small\nother/big", **fields}
    return await browser.post(
        "/w/default/evaluations/new",
        data={"form_token": token_of(page), **fields},
        files={"file": file or ("", b"")},
    )


async def test_prompts_are_sent_to_all_models_and_can_be_cancelled(ada):
    made = await start(
        ada, prompts="What is 6 times 7?\n\nAnd 2 + 2?", samples="2", grader="contains",
        name="Sums", max_cost="1.5",
    )  # fmt: skip
    path = made.headers["location"]
    page = await ada.get(path)
    assert "Sums" in page.text
    assert "The evaluation has begun." in page.text
    shown = (await ada.get(f"/api/v1/evaluations/{path.rpartition('/')[2]}")).json()
    assert shown["columns"] == ["acme/small", "other/big"]
    assert (shown["prompts"], shown["specification"]["samples"], shown["max_cost"]) == (2, 2, 1.5)
    await ada.post(f"{path}/cancel", data={"form_token": token_of(page)})
    assert "No further call starts." in (await ada.get(path)).text
    assert "Sums" in (await ada.get("/w/default/evaluations")).text


async def test_a_dataset_brings_the_expected_answers(ada):
    rows = b'{"prompt": "6 times 7?", "expected": "42"}\n'
    made = await start(ada, ("sums.jsonl", rows), grader="exact")
    assert made.status_code == 303, made.text
    page = await ada.get(made.headers["location"])
    assert re.search("Prompts</dt><dd>1", page.text)


async def test_the_table_of_results_can_be_saved(ada):
    made = await start(ada, prompts="Hi")
    answer = await ada.get(f"{made.headers['location']}/results.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text.startswith("prompt_number,")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "Write a prompt on each line"),
        ({"prompts": "Hi", "models": "acme/none"}, "acme/none"),
        ({"prompts": "Hi", "samples": "99"}, "samples"),
        ({"prompts": "Hi", "grader": "json_schema", "json_schema": "{"}, "json_schema is no valid"),
        ({"prompts": "Hi", "grader": "judge"}, "model"),
    ],
)
async def test_a_refused_evaluation_says_why_and_keeps_what_was_entered(ada, fields, problem):
    answer = await start(ada, name="kept", **fields)
    assert answer.status_code in (400, 404)
    assert problem in answer.text.split('role="alert">')[1].split("</p>")[0]
    assert 'value="kept"' in answer.text
