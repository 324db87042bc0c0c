import time
from collections.abc import Callable, Iterator

import httpx
import openai
import pytest

from workers.simulator.background import Simulator, running


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running() as simulator:
        yield simulator


@pytest.fixture
def sdk(simulator: Simulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="any", base_url=simulator.base_url, max_retries=0) as client:
        yield client


@pytest.fixture
def http(simulator: Simulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{simulator.host}:{simulator.port}") as client:
        yield client


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait for what another thread will soon make true."""

    def wait(true: Callable[[], bool], seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.002)

    return wait
