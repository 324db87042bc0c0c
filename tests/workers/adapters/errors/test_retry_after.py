from datetime import UTC, datetime

import pytest

from workers.adapters.errors.retry_after import (
    TRY_EMPTY,
    TRY_REFUSED,
    retry_after,
    until_reset,
)

NOW = datetime(2026, 1, 28, 0, 35, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        ({}, "", None),
        ({"Retry-After": "43"}, "", 43),
        ({"retry-after": "0"}, "", 0),
        ({"retry-after": "1.5"}, "", 1.5),
        ({"retry-after": "Wed, 28 Jan 2026 00:36:00 GMT"}, "", 60),
        ({"retry-after": "Wed, 28 Jan 2026 00:34:00 GMT"}, "", 0),
        ({"retry-after": "soon"}, "", None),
        ({"retry-after-ms": "1500", "retry-after": "2"}, "", 1.5),
        ({"x-ratelimit-reset": "2"}, "", 2),
        ({"x-ratelimit-reset": "17.683s"}, "", 17.683),
        ({"x-ratelimit-reset": "1m2.5s"}, "", 62.5),
        ({"x-ratelimit-reset-tokens": "6ms"}, "", 0.006),
        ({"x-ratelimit-reset": "1h0m20s"}, "", 3620),
        # a bucket that is full again then may take a call much sooner
        ({"x-ratelimit-reset-tokens": "6m0s"}, "", TRY_REFUSED),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, "",
         TRY_REFUSED),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "24h0m0s",
          "x-ratelimit-limit-requests": "200"}, "", 432),
        ({"retry-after": "1", "x-ratelimit-remaining-tokens": "0",
          "x-ratelimit-reset-tokens": "6m0s"}, "", 1),
        ({"retry-after": "1", "anthropic-ratelimit-tokens-remaining": "0",
          "anthropic-ratelimit-tokens-reset": "2026-01-28T00:41:00Z"}, "", 1),
        # a window is closed until its end
        ({"x-ratelimit-remaining-tokens-minute": "0", "x-ratelimit-reset-tokens-minute": "48.5",
          "x-ratelimit-reset-requests-day": "40000"}, "", 48.5),
        ({"X-RateLimit-Reset": "1769560560000"}, "", 60),
        ({"x-ratelimit-reset": "1769560560"}, "", 60),
        ({"anthropic-ratelimit-tokens-reset": "2026-01-28T00:35:09Z"}, "", 9),
        (
            {"x-ratelimit-reset-requests": "20m9.6s", "x-ratelimit-remaining-requests": "986",
             "x-ratelimit-reset-tokens": "5.42s", "x-ratelimit-remaining-tokens": "0"}, "", 5.42,
        ),
        ({"x-ratelimit-reset-requests": "8h", "x-ratelimit-reset-tokens": "5s"}, "", 5),
        ({}, '{"error":{"details":[{"retryDelay": "34s"}]}}', 34),
        ({}, '{"details":[{"retryDelay":"0.5s"}]}', 0.5),
        ({}, "Rate limit reached. Please try again in 1.2s. Visit", 1.2),
        ({}, "Please try again in 1m26.4s.", 86.4),
        ({}, "Please try again in 20ms.", 0.02),
        ({}, "Please retry in 48.939935699s.", 48.939935699),
        ({}, "Try again in 20 seconds", 20),
        ({}, "Please retry after 2 minutes.", 120),
        ({}, "Please try again later.", None),
        ({"retry-after": "7"}, "try again in 20s", 7),
        ({}, "Retry in 1 minute 30 seconds", 90),
        ({}, "Please retry after 2 minutes and 5 seconds.", 125),
        ({}, '{"message": "slow down", "retry_after": 12}', 12),
        ({}, '{"error":{"retry_after_seconds":4.5}}', 4.5),
        ({}, '{"error":{"retryAfter":"4s"}}', 4),
        ({}, '{"error":{"retry_after_ms":1500}}', 1.5),
        ({}, '{"retry_after": null}', None),
        (
            {}, '{"metadata":{"headers":{"X-RateLimit-Reset":"1769560560000"}}}', 60,
        ),
    ],
)  # fmt: skip
def test_how_long_to_wait(headers, body, wait):
    found = retry_after(headers, body, limited=True, now=NOW)
    assert found == (None if wait is None else pytest.approx(wait))


def test_windows_say_nothing_where_no_limit_was_hit():
    assert retry_after({"x-ratelimit-reset": "9"}, "", limited=False, now=NOW) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        # OpenAI's, Groq's, Cerebras' names: only the limit that is used up counts
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "24h0m0s",
                "x-ratelimit-limit-requests": "10000",
                "x-ratelimit-remaining-tokens": "14000",
                "x-ratelimit-reset-tokens": "1m",
            },
            8.64,
        ),
        # Anthropic's
        (
            {
                "anthropic-ratelimit-tokens-remaining": "0",
                "anthropic-ratelimit-tokens-reset": "2026-11-25T12:00:30Z",
            },
            TRY_EMPTY,
        ),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, TRY_EMPTY),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}, 30.0),
        ({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "8s"}, None),
        ({"x-ratelimit-remaining-requests": "0"}, None),
        ({"x-credits-remaining": "0", "x-credits-reset": "8s"}, None),
        ({"content-type": "application/json"}, None),
    ],
)
def test_an_answer_tells_when_nothing_is_left(headers, seconds):
    assert until_reset(headers, datetime(2026, 11, 25, 12, tzinfo=UTC)) == seconds
