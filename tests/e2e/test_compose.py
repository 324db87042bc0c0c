"""docker-compose.yml: accepted by its own tool, and every command in it runs."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
import orjson
import pytest

from tests.compose import FILE, FLOWER_LOGIN, composed, env_file, run_prompts, services
from tests.installation import REPOSITORY, until
from tests.stacks import own_stack, require_servers

pytestmark = [pytest.mark.service, own_stack]

COMPOSE = shutil.which("docker-compose")


def test_docker_compose_accepts_the_file() -> None:
    if COMPOSE is None:
        if os.environ.get("CI") == "true":
            pytest.fail("docker-compose is not installed")
        pytest.skip("docker-compose is not installed")
    ended = subprocess.run(
        [COMPOSE, "-f", str(FILE), "config"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    watched = {name for name, service in services({}).items() if "healthcheck" in service}
    assert watched == services({}).keys() - {"migrate"}
    assert set(services({})) == {"migrate", "api", "worker", "batch-worker", "dispatcher", "flower"}


def test_every_variable_of_the_env_file_reaches_every_service() -> None:
    """Compose reads .env for its own file only, unless `env_file` passes it on."""
    example = env_file(REPOSITORY / ".env.example")
    for name, service in services(example).items():
        assert service["env_file"] == [example["ENV_FILE"]], name
    for name, service in services({}).items():
        (there,) = service["env_file"]
        assert (REPOSITORY / there).is_file(), f"{name} cannot start in a fresh clone"
        assert {"WAYBILL_PORT", "WAYBILL_DATABASE_URL"} <= service["environment"].keys()


def test_the_services_run_the_examples_and_stop_in_peace(tmp_path: Path) -> None:
    require_servers()
    results = tmp_path / "results.jsonl"
    with composed() as composition:
        assert run_prompts(composition, results) == 0, composition.log()
        flower = f"http://127.0.0.1:{composition.flower_port}"
        assert httpx.get(flower, timeout=20).status_code == 401
        assert httpx.get(flower, auth=FLOWER_LOGIN, timeout=20).status_code == 200
        for name in ("worker", "batch-worker", "dispatcher"):
            assert composition.is_healthy(name), (name, composition.log())
        for name in ("worker", "dispatcher"):
            composition.stop(name)
            until(lambda name=name: not composition.is_healthy(name), 20, f"{name} still healthy")
        assert composition.is_healthy("batch-worker"), composition.log()
        codes = composition.down()
        # uvicorn ends its own way: by the signal, once everything was closed
        assert set(codes.values()) <= {0, -signal.SIGTERM}, (codes, composition.log())
    prompts = (REPOSITORY / "examples/prompts.jsonl").read_text().splitlines()
    answers = [orjson.loads(line) for line in results.read_text().splitlines()]
    assert len(answers) == len([line for line in prompts if line.strip()])
