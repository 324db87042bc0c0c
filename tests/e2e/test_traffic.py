"""A model's traffic is shared among its providers, counted at the simulator."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.installation import Installation, until

MODEL = "trio/model"
TRIO = {  # what each is at the simulator, and its price
    "fast": ("sim-tok30-chunk1", "6"),
    "slow": ("sim-tok30-chunk6-lat600", "1"),
    "flaky": ("sim-tok30-chunk3-lat300-flaky30", "2"),
}
CALLS = 24


class Trio(Installation):
    """One model at three providers: expensive and fast, cheap and slow, failing 30 %."""

    def __init__(self) -> None:
        super().__init__()
        url = f"http://127.0.0.1:{self.simulator_port}/v1"
        endpoints = []
        with self.config.open("a") as config:
            for slug, (native, price) in TRIO.items():
                config.write(
                    f'\n[[providers]]\nslug = "{slug}"\nwire = "openai"\nbase_url = "{url}"\n'
                    'api_key = "any"\nmax_concurrency = 200\n'
                )
                prices = f'prompt = "{price}", completion = "{price}"'
                endpoints.append(f'{{ provider = "{slug}", model = "{native}", {prices} }}')
            listed = ", ".join(endpoints)
            config.write(f'\n[[models]]\nslug = "{MODEL}"\nendpoints = [{listed}]\n')

    def route(self, model: str = MODEL, **wish: Any) -> list[dict[str, Any]]:
        """The places of the plan that such a request would get."""
        answer = self.http.post("/route", json=_body(model, wish, 0))
        assert answer.status_code == 200, answer.text
        return list(answer.json()["plan"])

    def traffic(self, model: str = MODEL, calls: int = CALLS, **wish: Any) -> Counter[str]:
        """Make calls, all of which have to succeed; return how many each provider got."""
        before = self._counted()

        def call(number: int) -> int:
            body = _body(model, wish, number)
            return self.http.post("/chat/completions", json=body).status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(call, range(calls))) == {200}, self.log()
        return self._counted() - before

    def _counted(self) -> Counter[str]:
        by_model = self.calls()["by_model"]
        return Counter({slug: by_model.get(native, 0) for slug, (native, _) in TRIO.items()})


def _body(model: str, wish: dict[str, Any], number: int) -> dict[str, Any]:
    """A body of its own for each call: its words decide which of them `flaky` fails."""
    messages = [{"role": "user", "content": f"Hello {number} {wish}"}]
    return {"model": model, "messages": messages, "max_tokens": 1000, **wish}


@pytest.fixture(scope="module")
def trio() -> Iterator[Trio]:
    """Each provider has been asked, and what was seen has reached the plans."""
    with Trio() as installation:
        for slug in TRIO:
            installation.traffic(calls=12, provider={"order": [slug]}, stream=True)

        def measured() -> bool:
            plans = {
                sort: installation.route(provider={"sort": sort})
                for sort in ("throughput", "latency")
            }
            return not any(
                "not measured" in each["reason"] for plan in plans.values() for each in plan
            )

        until(measured, 20, installation.log)
        yield installation
        installation.await_idle()
        installation.audit()


def test_without_a_wish_the_cheap_gets_most_and_the_failing_least(trio: Trio) -> None:
    """By price and speed about two thirds go to `slow`; failing costs `flaky` nearly all."""
    counted = trio.traffic(calls=90)
    assert counted["slow"] > 30
    assert counted["fast"] > 0
    assert counted["flaky"] < 25


@pytest.mark.parametrize(
    ("model", "wish", "first"),
    [
        (f"{MODEL}:nitro", {}, "fast"),
        (f"{MODEL}:floor", {}, "slow"),
        (MODEL, {"provider": {"sort": "throughput"}}, "fast"),
        (MODEL, {"provider": {"sort": "latency"}}, "fast"),
        (MODEL, {"provider": {"sort": "price"}}, "slow"),
        (MODEL, {"provider": {"order": ["fast", "slow"]}}, "fast"),
        (MODEL, {"provider": {"only": ["slow"]}}, "slow"),
        (MODEL, {"routing": {"strategy": "cost"}}, "slow"),
        (MODEL, {"routing": {"strategy": "speed"}}, "fast"),
    ],
    ids=lambda value: str(value).replace(" ", ""),
)
def test_a_wish_sends_all_traffic_there(trio: Trio, model: str, wish: Any, first: str) -> None:
    assert trio.traffic(model, **wish) == {first: CALLS}


def test_one_that_fails_is_asked_first_where_it_is_named_and_nobody_notices(trio: Trio) -> None:
    counted = trio.traffic(provider={"order": ["flaky", "fast"]})
    assert counted["fast"] > 0  # every call was answered all the same
    assert counted["slow"] == 0


def test_who_is_dearer_than_allowed_gets_nothing(trio: Trio) -> None:
    counted = trio.traffic(provider={"max_price": {"completion": 3}})
    assert counted["fast"] == 0
    assert counted["slow"] > CALLS // 2
