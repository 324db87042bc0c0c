"""Verdicts count the faults of a provider only."""

import json

import pytest

from broker.completion import AttemptOutcome, ErrorType, Failure
from broker.providers.health import Verdict, judge_failure, refuses_credential
from workers.adapters.errors import read_error

OK_TO_BLAME = (500, 502, 503, 504, 529, 401, 402, 404, 405, 408, 410, 421, 423, 424, 426, 498)
NOT_TO_BLAME = (400, 413, 422, 403, 451, 499)


def answered(status, body=b'{"error": {"message": "no"}}'):
    return read_error(status, {}, body)


@pytest.mark.parametrize("status", OK_TO_BLAME)
def test_what_a_provider_does_wrong_counts(status):
    assert judge_failure(answered(status)) is Verdict.FAILED


@pytest.mark.parametrize("status", NOT_TO_BLAME)
def test_what_a_request_does_wrong_does_not(status):
    assert judge_failure(answered(status)) is Verdict.EXCUSED


def test_429_has_a_rule_of_its_own():
    assert judge_failure(answered(429)) is Verdict.LIMITED
    assert judge_failure(answered(429, b'{"error": {"message": "overloaded"}}')) is Verdict.LIMITED


def test_an_empty_account_that_is_sent_as_400_is_the_credential():  # litellm#37599
    body = b'{"error": {"message": "Your credit balance is too low to access the API."}}'
    failure = answered(400, body)
    assert judge_failure(failure) is Verdict.FAILED
    assert refuses_credential(failure)


OF_ONE_MODEL = (
    "You are not allowed to sample from this model",  # OpenAI, as recorded
    "The caller does not have permission",  # Google: a preview model
    "You don't have access to the model with the specified model ID.",  # Bedrock
    "User: arn:aws:iam::1:user/x is not authorized to perform: bedrock:InvokeModel on: model/m",
    "The model `m` is blocked at the project level.",  # Groq
    "Your organization is restricted from the model m",
    "Your API key does not have permission to use the specified resource.",
    "<html><title>403 Forbidden</title></html>",
)
OF_THE_ACCOUNT = (
    "unsupported_country_region_territory",  # OpenAI
    "Country, region, or territory not supported",
    "Requests to this API are blocked. reason: API_KEY_SERVICE_BLOCKED",  # Google
    "Permission denied: Consumer 'project:1' has been suspended.",
    "Access denied due to Virtual Network/Firewall rules.",  # Azure
    "Your API key or team is blocked.",  # xAI
    "This account has been deactivated.",
)


@pytest.mark.parametrize("said", [*OF_ONE_MODEL, *OF_THE_ACCOUNT])
def test_a_403_is_about_the_account_where_it_says_so(said):
    failure = answered(403, json.dumps({"error": {"message": said}}).encode())
    assert refuses_credential(failure) is (said in OF_THE_ACCOUNT)


def test_a_prompt_too_long_that_is_sent_as_500_is_the_requests_fault():
    body = b'{"error": {"message": "This model\'s maximum context length is 8192 tokens"}}'
    assert judge_failure(answered(500, body)) is Verdict.EXCUSED


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (AttemptOutcome.UNKNOWN, Verdict.FAILED),
        (AttemptOutcome.NOT_SENT, Verdict.FAILED),
        (AttemptOutcome.CANCELLED, Verdict.EXCUSED),
        (AttemptOutcome.INTERRUPTED, Verdict.EXCUSED),
        (AttemptOutcome.SKIPPED, Verdict.EXCUSED),
    ],
)
def test_silence_counts_and_our_own_stops_do_not(outcome, expected):
    assert judge_failure(Failure(outcome, ErrorType.PROVIDER_UNAVAILABLE, "…")) is expected
