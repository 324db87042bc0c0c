"""Content of the pages: jobs, errors and filters; and the headers that keep them safe."""

import re

import pytest

from tests.api.visitors import make_user, sign_in, token_of

OURS = {"Sec-Fetch-Site": "same-origin", "Prefer": "respond-async"}
EVIL = '<img src=x onerror="alert(1)">'


@pytest.fixture
async def ada(api, browser):
    make_user(api)
    await sign_in(browser)
    return browser


async def submit(browser, content="Hello", *, store="full", **more):
    body = {"model": "acme/small", "messages": [{"role": "user", "content": content}], **more}
    answer = await browser.post(
        "/api/v1/chat/completions", json=body, headers={**OURS, "X-Store": store}
    )
    return answer.headers["x-job-id"]


async def test_a_job_shows_its_prompt_and_can_be_cancelled(ada):
    job = await submit(ada, "What is the capital of France?")
    page = await ada.get(f"/w/default/jobs/{job}")
    assert "What is the capital of France?" in page.text
    assert "queued" in page.text
    path = f"/w/default/jobs/{job}"
    answer = await ada.post(f"{path}/cancel", data={"form_token": token_of(page)})
    assert answer.headers["location"] == path
    page = await ada.get(path)
    assert "The job is cancelled." in page.text
    assert "cancelled" in page.text
    assert "The job is cancelled." not in (await ada.get(path)).text  # it is said once


async def test_texts_of_callers_are_shown_as_texts(ada):
    job = await submit(ada, EVIL, user=EVIL, metadata={"note": EVIL})
    for path in (f"/jobs/{job}", "/jobs", f"/jobs?user={EVIL}", f"/playground?job={job}"):
        page = await ada.get(f"/w/default{path}")
        assert page.status_code == 200
        assert EVIL not in page.text


async def test_a_prompt_cannot_end_the_script_that_carries_it(ada):
    job = await submit(ada, "</script><script>alert(1)</script>")
    page = await ada.get("/w/default/playground", params={"job": job})
    assert "<script>alert(1)" not in page.text
    assert "\\u003c/script>" in page.text


async def test_a_look_at_a_job_does_not_count_as_fetching_it(api, ada):
    job = await submit(ada, "secret words", store="none")
    page = await ada.get(f"/w/default/jobs/{job}")
    assert page.status_code == 200
    assert "secret words" not in page.text
    assert "store: none" in page.text


async def test_filters_narrow_the_list(ada):
    first = await submit(ada, user="u1")
    second = await submit(ada, user="u2")
    page = (await ada.get("/w/default/jobs?user=u1")).text
    assert (first in page, second in page) == (True, False)
    page = (await ada.get("/w/default/jobs?status=failed")).text
    assert "No job fits" in page


@pytest.mark.parametrize("path", ["/jobs/job_unknown", "/models/acme/none"])
async def test_what_is_not_there_is_a_page_with_the_reason(ada, path):
    page = await ada.get(f"/w/default{path}")
    assert page.status_code == 404
    assert "<nav" in page.text
    assert 'role="alert"' in page.text


async def test_pages_allow_nothing_from_elsewhere_and_no_inline_code(ada):
    for path in ("/w/default", "/w/default/playground", "/sign-in"):
        page = await ada.get(path, follow_redirects=True)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert re.findall(r"""<[^>]+\s(?:style|on\w+)=["']""", page.text) == []
        assert re.findall(r'(?:src|href)="(?:https?:)?//', page.text) == []


async def test_assets_may_be_kept_for_good(ada):
    page = await ada.get("/w/default")
    paths = set(re.findall(r'"(/assets/[^"]+)"', page.text))
    assert len(paths) >= 3
    for path in paths:
        answer = await ada.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert (await ada.get("/assets/old/waybill.css")).headers["cache-control"] == "no-store"
    assert (await ada.get("/assets/x/none.js")).status_code == 404


async def test_a_first_page_is_small(ada):
    page = await ada.get("/w/default")
    paths = set(re.findall(r'"(/assets/[^"]+)"', page.text))
    sizes = [len((await ada.get(path)).content) for path in paths]
    assert len(page.content) + sum(sizes) < 100_000


@pytest.mark.parametrize("job", ["x?answer=true", "x#y", "%2e%2e", "a%2Fb"])
async def test_a_path_cannot_reach_another_route_of_the_api(ada, job):
    answer = await ada.get(f"/w/default/jobs/{job.replace('?', '%3F').replace('#', '%23')}")
    assert answer.status_code == 404
