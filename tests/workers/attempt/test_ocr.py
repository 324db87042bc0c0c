"""OCR of an attempt: within the deadline of its job, tried again, and never above what is held."""

import asyncio
import time
from types import SimpleNamespace
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.clock import now_ms
from broker.completion import AttemptOutcome, Document, ErrorType, Failure, Usage
from broker.routing import OcrOffer
from broker.settings import Settings
from tests.factories import job_row
from tests.workers.attempt.test_execution import ANSWER, JSON, submit_job, worker_of
from tests.workers.media.pdfs import data_uri
from tests.workers.media.scans import draw, scan
from tests.workers.parts import permit_for
from tests.workers.upstream.provider_socket import Provider
from workers.attempt import ocr
from workers.attempt.ocr import OcrCalls, ProviderOcr
from workers.media import readers
from workers.media.formats import UnfitError

PAGE = 4_000_000


def read_for_minutes(*_):
    time.sleep(60)


async def test_reading_ends_at_the_deadline_of_the_job(database, redis, monkeypatch):
    monkeypatch.setattr(readers, "recognize_page", read_for_minutes)
    part = {"type": "file", "file": {"file_data": data_uri(scan(draw("Hello")))}}
    body = {
        "messages": [{"role": "user", "content": [part]}],
        "plugins": [{"id": "file-parser", "pdf": {"engine": "local-ocr"}}],
    }
    provider = Provider(JSON, [ANSWER])
    job_id = submit_job(database, body=body, deadline=now_ms() + 1_500)
    async with worker_of(provider, database, redis) as runner, asyncio.timeout(20):
        await runner.run(permit_for(), job_id)
    assert provider.requests == 0
    assert job_row(database, job_id).state == "expired"
    assert "deadline passed while its documents were read" in job_row(database, job_id).error


def failure(error_type):
    return Failure(AttemptOutcome.REJECTED, error_type, "no")


@pytest.fixture
def provider_ocr(monkeypatch):
    """OCR whose calls get these answers, and the number of calls."""
    calls = []

    def build(*answers, max_pages=100):
        async def call(made):
            calls.append(made)
            return answers[min(len(calls), len(answers)) - 1]

        monkeypatch.setattr(ocr, "call", call)
        monkeypatch.setattr(ocr, "PAUSE_SECONDS", 0)
        route = SimpleNamespace(is_shared=True, upstream=None)
        client = SimpleNamespace(send=None)
        parts = OcrCalls(Settings(), None, client, {"mistral": route})
        return ProviderOcr(parts, OcrOffer("mistral", "m", PAGE, max_pages)), calls

    return build


def answered(count, billed):
    return Document({"texts": ["text"] * count}, Usage(input_pages=billed))


async def test_a_busy_provider_is_tried_again(provider_ocr):
    busy = failure(ErrorType.RATE_LIMIT_EXCEEDED)
    reads, calls = provider_ocr(busy, busy, answered(1, 1))
    assert (await reads.read_pages(b"%PDF-", [0])).cost_nanos == PAGE
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("error_type", "count"), [(ErrorType.SERVER, 3), (ErrorType.AUTHENTICATION, 1)]
)
async def test_a_failure_is_one_of_the_document_not_of_the_model(provider_ocr, error_type, count):
    reads, calls = provider_ocr(failure(error_type))
    with pytest.raises(UnfitError, match="could not be read by OCR") as error:
        await reads.read_picture(b"", "image/png")
    assert error.value.failure.error_type is ErrorType.INVALID_REQUEST
    assert len(calls) == count


@given(count=st.integers(1, 100), billed=st.none() | st.integers(-5, 10**9))
async def test_no_statement_costs_more_than_the_pages_that_were_requested(count, billed):
    offer = OcrOffer("mistral", "m", PAGE, 100)
    with mock.patch.object(ProviderOcr, "_call", return_value=answered(count, billed)):
        found = await ProviderOcr(None, offer).read_pages(b"", range(count))
    assert 0 <= found.cost_nanos <= PAGE * count <= offer.max_nanos
