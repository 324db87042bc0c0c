"""Every batch API against shapes that its provider documents: requests, progress, results."""

import orjson
import pytest

from broker.completion import AttemptOutcome, ErrorType
from broker.requests.operations import Operation
from workers.adapters.base import MalformedAnswerError, Upstream
from workers.native_batches.base import BatchOrder
from workers.native_batches.registry import BATCH_APIS

UP = Upstream("any", "https://api.example/v1", "secret")
BODY = b'{"model":"m","messages":[]}'


def order(api, *ids):
    lines = [api.line(each, Operation.CHAT.value, BODY) for each in ids]
    return BatchOrder("nb_1", "m", Operation.CHAT.value, lines)


def progress(api, **body):
    return BATCH_APIS[api].progress(orjson.dumps(body))


def result(api, **body):
    return BATCH_APIS[api].result(orjson.dumps(body))


@pytest.mark.parametrize("api", ["openai", "groq"])
def test_openai_uploads_a_file_of_lines_then_names_it(api):
    spoken = BATCH_APIS[api]
    upload = spoken.upload(order(spoken, "job_1", "job_2"), UP)
    assert upload.url == "https://api.example/v1/files"
    assert upload.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="purpose"\r\n\r\nbatch\r\n' in upload.body
    [head, *_] = [each for each in upload.body.split(b"\r\n") if each.startswith(b'{"custom_id"')]
    lines = [orjson.loads(each) for each in head.splitlines() if each]
    assert lines[0] == {
        "custom_id": "job_1",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "m", "messages": []},
    }
    assert [line["custom_id"] for line in lines] == ["job_1", "job_2"]
    create = spoken.create(order(spoken), "file-1", UP)
    assert create.url == "https://api.example/v1/batches"
    assert orjson.loads(create.body) == {
        "input_file_id": "file-1",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "metadata": {"waybill_batch": "nb_1"},
    }
    assert create.headers["authorization"] == "Bearer secret"


def test_mistral_names_the_model_once_for_the_job():
    spoken = BATCH_APIS["mistral"]
    assert orjson.loads(spoken.line("job_1", Operation.CHAT.value, BODY)) == {
        "custom_id": "job_1",
        "body": {"messages": []},
    }
    create = spoken.create(order(spoken), "file-1", UP)
    assert create.url == "https://api.example/v1/batch/jobs"
    assert orjson.loads(create.body) == {
        "input_files": ["file-1"],
        "model": "m",
        "endpoint": "/v1/chat/completions",
        "metadata": {"waybill_batch": "nb_1"},
        "timeout_hours": 24,
    }


def test_anthropic_takes_all_requests_in_one_body():
    spoken = BATCH_APIS["anthropic"]
    create = spoken.create(order(spoken, "job_1"), None, UP)
    assert create.url == "https://api.example/v1/messages/batches"
    assert orjson.loads(create.body) == {
        "requests": [{"custom_id": "job_1", "params": {"model": "m", "messages": []}}]
    }
    assert create.headers["x-api-key"] == "secret"
    assert create.headers["anthropic-version"]


def test_gemini_takes_requests_inline_with_our_name_on_them():
    spoken = BATCH_APIS["gemini"]
    create = spoken.create(order(spoken, "job_1"), None, UP)
    assert create.url == "https://api.example/v1/models/m:batchGenerateContent"
    assert orjson.loads(create.body) == {
        "batch": {
            "displayName": "nb_1",
            "inputConfig": {
                "requests": {
                    "requests": [
                        {"request": orjson.loads(BODY), "metadata": {"key": "job_1"}},
                    ]
                }
            },
        }
    }
    assert spoken.created(b'{"name": "batches/123", "metadata": {}}') == "batches/123"


def test_openai_progress():
    counts = {"total": 4, "completed": 3, "failed": 1}
    running = progress("openai", status="finalizing", request_counts=counts)
    assert (running.ended, running.completed, running.failed) == (False, 3, 1)
    done = progress(
        "openai", status="completed", request_counts=counts, output_file_id="o", error_file_id="e"
    )
    assert (done.ended, done.files, done.failure_reason) == (True, ["o", "e"], None)
    expired = progress("openai", status="expired", output_file_id="o")
    assert (expired.ended, expired.files) == (True, ["o"])
    assert "expired" in expired.failure_reason


def test_openai_is_not_done_before_its_files_are_there():
    # seen in the wild: `completed` is told before `output_file_id` is filled
    counts = {"total": 1, "completed": 1, "failed": 0}
    assert not progress("openai", status="completed", request_counts=counts).ended


def test_openai_without_quota_is_held_back_not_given_up():
    errors = {"data": [{"code": "token_limit_exceeded", "message": "Enqueued token limit"}]}
    refused = progress("openai", status="failed", errors=errors)
    assert (refused.ended, refused.lacks_quota) == (True, True)
    wrong = progress("openai", status="failed", errors={"data": [{"code": "invalid_json_line"}]})
    assert (wrong.ended, wrong.lacks_quota) == (True, False)


@pytest.mark.parametrize("status", ["QUEUED", "RUNNING", "CANCELLATION_REQUESTED"])
def test_mistral_goes_on(status):
    assert not progress("mistral", status=status).ended


@pytest.mark.parametrize("status", ["SUCCESS", "FAILED", "TIMEOUT_EXCEEDED", "CANCELLED"])
def test_mistral_ends(status):
    told = progress("mistral", status=status, output_file="o", succeeded_requests=2)
    assert (told.ended, told.files, told.completed) == (True, ["o"], 2)
    assert (told.failure_reason is None) == (status == "SUCCESS")


def test_anthropic_progress():
    counts = {"processing": 2, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    facts = {"id": "msgbatch_1", "request_counts": counts}
    assert not progress("anthropic", **facts, processing_status="in_progress").ended
    assert not progress("anthropic", **facts, processing_status="canceling").ended
    facts["request_counts"] = counts | {"processing": 0, "succeeded": 1, "expired": 1}
    ended = progress("anthropic", **facts, processing_status="ended")
    assert (ended.ended, ended.completed, ended.files) == (True, 1, ["msgbatch_1"])
    assert ended.failure_reason


@pytest.mark.parametrize("word", ["JOB_STATE_", "BATCH_STATE_"])
@pytest.mark.parametrize("nested", [True, False])
def test_gemini_progress_and_results_in_one(word, nested):
    entries = [
        {"metadata": {"key": "job_1"}, "response": {"candidates": []}},
        {"metadata": {"key": "job_2"}, "error": {"code": 400, "message": "bad", "status": "X"}},
    ]
    inlined = {"inlinedResponses": entries} if nested else entries
    facts = {"state": f"{word}SUCCEEDED", "batchStats": {"successfulRequestCount": "1"}}
    told = progress("gemini", done=True, metadata=facts, response={"inlinedResponses": inlined})
    assert (told.ended, told.completed) == (True, 1)
    assert [each.custom_id for each in told.inline] == ["job_1", "job_2"]
    assert told.inline[0].answer == b'{"candidates":[]}'
    assert told.inline[1].failure.http_status == 400


def test_gemini_goes_on_until_its_answers_are_there():
    assert not progress("gemini", metadata={"state": "BATCH_STATE_RUNNING"}).ended
    assert not progress("gemini", done=True, metadata={"state": "BATCH_STATE_SUCCEEDED"}).ended
    expired = progress("gemini", done=True, metadata={"state": "BATCH_STATE_EXPIRED"})
    assert (expired.ended, "EXPIRED" in expired.failure_reason) == (True, True)


@pytest.mark.parametrize("api", ["openai", "groq", "mistral"])
class TestResultsInFiles:
    def test_an_answer(self, api):
        response = {"status_code": 200, "request_id": "r", "body": {"id": "x", "choices": []}}
        read = result(api, custom_id="job_1", response=response, error=None)
        assert (read.custom_id, read.answer) == ("job_1", b'{"id":"x","choices":[]}')

    def test_a_refusal(self, api):
        body = {"error": {"message": "too long", "code": "context_length_exceeded"}}
        response = {"status_code": 400, "body": body}
        read = result(api, custom_id="job_1", response=response)
        assert read.failure.error_type is ErrorType.CONTEXT_LENGTH_EXCEEDED

    def test_a_status_of_zero_is_no_answer(self, api):
        # seen in the wild: lines counted as completed, with a status of 0 and no body
        read = result(api, custom_id="job_1", response={"status_code": 0, "body": {}}, error=None)
        assert read.answer is None
        assert read.failure is not None

    def test_a_line_never_run(self, api):
        error = {"code": "batch_expired", "message": "not executed in time"}
        read = result(api, custom_id="job_1", response=None, error=error)
        assert read.failure.outcome is AttemptOutcome.NOT_SENT

    def test_a_line_without_its_id(self, api):
        with pytest.raises(MalformedAnswerError):
            result(api, response={"status_code": 200, "body": {}})


def test_anthropic_results():
    message = {"id": "msg_1", "content": []}
    told = result("anthropic", custom_id="j", result={"type": "succeeded", "message": message})
    assert orjson.loads(told.answer) == message
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}
    told = result("anthropic", custom_id="j", result={"type": "errored", "error": error})
    assert told.failure.error_type is ErrorType.INVALID_REQUEST
    for end in ("canceled", "expired"):
        told = result("anthropic", custom_id="j", result={"type": end})
        assert told.failure.outcome is AttemptOutcome.NOT_SENT
    with pytest.raises(MalformedAnswerError):
        result("anthropic", custom_id="j", result={"type": "new"})


def test_lists_tell_our_marker_where_there_is_one():
    batch = {"id": "b", "created_at": 1700000000, "request_counts": {"total": 2}}
    marked = batch | {"metadata": {"waybill_batch": "nb_1"}}
    page = BATCH_APIS["openai"].page(orjson.dumps({"data": [marked, batch], "has_more": True}))
    assert [each.marker for each in page.batches] == ["nb_1", None]
    assert page.after == "b"
    job = {"id": "j", "created_at": 1700000000, "metadata": {"waybill_batch": "nb_1"}}
    page = BATCH_APIS["mistral"].page(orjson.dumps({"data": [job], "total": 1}))
    assert [each.marker for each in page.batches] == ["nb_1"]
    facts = {"displayName": "nb_1", "createTime": "2026-01-01T00:00:00Z"}
    listed = {"operations": [{"name": "batches/1", "metadata": facts}], "nextPageToken": "t"}
    page = BATCH_APIS["gemini"].page(orjson.dumps(listed))
    assert [(each.id, each.marker) for each in page.batches] == [("batches/1", "nb_1")]
    assert page.after == "t"
    counts = {"processing": 2, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    batch = {"id": "m", "created_at": "2026-01-01T00:00:00Z", "request_counts": counts}
    page = BATCH_APIS["anthropic"].page(
        orjson.dumps({"data": [batch], "has_more": True, "last_id": "m"})
    )
    assert [(each.id, each.marker, each.lines) for each in page.batches] == [("m", None, 2)]
    assert page.after == "m"


@pytest.mark.parametrize("api", sorted(BATCH_APIS))
def test_no_batch_api_breaks_on_what_it_does_not_know(api):
    for nonsense in (b"", b"[]", b"<html>", b"{}", b'{"status": 3}'):
        with pytest.raises(MalformedAnswerError):
            BATCH_APIS[api].progress(nonsense)
