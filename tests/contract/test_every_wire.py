"""Every wire meets the contract, also without recordings."""

import json
from pathlib import Path

import pytest

from broker.completion import AttemptOutcome, CompletionRequest, ErrorType
from broker.providers.vendors import vendors
from cli.commands.provider_checks import LIST_PATHS
from workers.adapters.base import Adapter, MalformedAnswerError, ProviderFailureError, Upstream
from workers.adapters.openai.quirks import OpenAiQuirk
from workers.adapters.registry import ADAPTERS, RESPONSES

KEY = "sk-the-key"
HOST = "https://provider.example/v1"
BODIES = (
    b"",
    b"null",
    b"[]",
    b"oops",
    b"\xff\xfe",
    b'{"error": null}',
    b'{"error": {"message": 3}}',
)
TURN = {"role": "user", "content": "Hello"}

REPOSITORY = Path(__file__).parents[2]
EVERY = pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=lambda adapter: adapter.wire)


def asked(*, stream=False):
    return CompletionRequest(body={"messages": [TURN]}, model="m", stream=stream)


@EVERY
def test_it_is_registered_under_its_name_and_says_where_its_rules_are(adapter):
    assert isinstance(adapter, Adapter)
    assert ADAPTERS[adapter.wire] is adapter
    assert type(adapter).__doc__


@EVERY
def test_a_vendor_speaks_it(adapter):
    spoken = {vendor.wire for vendor in vendors().values()}
    behind = {RESPONSES[wire].wire for wire in RESPONSES if wire in spoken}
    assert adapter.wire in spoken | behind


@EVERY
def test_it_knows_the_quirks_of_its_vendors(adapter):
    declared = {q for each in vendors().values() if each.wire == adapter.wire for q in each.quirks}
    assert declared - {OpenAiQuirk.INLINE_MEDIA} <= adapter.quirks


@EVERY
def test_the_check_of_its_keys_knows_what_to_ask(adapter):
    spoken_by = [vendor for vendor in vendors().values() if vendor.wire == adapter.wire]
    assert adapter.wire in LIST_PATHS or (spoken_by and all(vendor.probe for vendor in spoken_by))


@EVERY
@pytest.mark.parametrize("stream", [False, True])
def test_a_request_carries_the_key_in_a_header_alone(adapter, stream):
    upstream = Upstream(slug="p", base_url=HOST, api_key=KEY, headers={"X-Extra": "1"})
    built = adapter.build_request(asked(stream=stream), upstream)
    assert built.url.startswith("https://provider.example/")
    assert json.loads(built.body)
    assert any(KEY in value for value in built.headers.values())
    assert KEY not in built.url
    assert KEY.encode() not in built.body
    assert {name: value for name, value in built.headers.items() if name.lower() == "x-extra"}


@EVERY
def test_a_request_leaves_the_callers_body_as_it_was(adapter):
    request = asked()
    before = json.dumps(request.body)
    adapter.build_request(request, Upstream(slug="p", base_url=HOST, api_key=KEY))
    assert json.dumps(request.body) == before


@EVERY
@pytest.mark.parametrize("body", BODIES)
def test_an_answer_that_is_none_is_an_error(adapter, body):
    with pytest.raises((MalformedAnswerError, ProviderFailureError)):
        adapter.read_response(body, asked())


@EVERY
def test_a_stream_without_a_byte_is_an_error(adapter):
    with pytest.raises(MalformedAnswerError):
        adapter.create_stream_reader(asked(stream=True)).close()


@EVERY
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 429, 500, 503, 529])
@pytest.mark.parametrize("body", BODIES)
def test_an_error_is_classified_whatever_it_says(adapter, status, body):
    failure = adapter.read_error(status, {}, body)
    assert failure.outcome is AttemptOutcome.REJECTED
    assert failure.http_status == status
    assert failure.message
    assert isinstance(failure.error_type, ErrorType)
    if status in {401, 402, 429}:
        assert failure.error_type in {
            ErrorType.AUTHENTICATION,
            ErrorType.PAYMENT_REQUIRED,
            ErrorType.RATE_LIMIT_EXCEEDED,
        }


@EVERY
def test_recordings_or_tests_of_its_own_prove_it(adapter):
    """A wire is read from real bytes, or at least from bytes that its documentation shows."""
    recorded = (REPOSITORY / "tests/contract/test_recorded_exchanges.py").read_text()
    own = list((REPOSITORY / "tests").rglob(f"test_*{adapter.wire}*.py"))
    assert f'"{adapter.wire}"' in recorded or own, f"no test speaks the wire {adapter.wire!r}"
