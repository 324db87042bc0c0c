"""No configured secret appears in any output, log, error, task argument, stored row or Redis key.

Short and common keys are no secrets: they leave the words of an error as they are.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import create_engine, inspect, text

from tests.e2e.cases.playback import Playback, Sent
from tests.e2e.scripted import Script, answer, refusal, tables
from tests.installation import KEY, REPOSITORY, Installation, until
from tests.stacks import any_stack

pytestmark = any_stack

SECRETS = {
    "of a variable": "vQ7-variable-0123456789",
    "of a file": "vQ7-file-0123456789",
    "of waybill.toml": "vQ7-literal-0123456789",
    "of a header": "vQ7-header-0123456789",
    "of a workspace": "vQ7-workspace-0123456789",
    "of a vendor": "vQ7-vendor-0123456789",
    "the secret key": "vQ7-sealing-0123456789",
    "the metrics token": "vQ7-metrics-0123456789",
    "the sign-in secret": "vQ7-signin-0123456789",
}
MARK = "vQ7-"
OWN = SECRETS["of a workspace"]
COMMON = "Too many images: any model takes 2."


def _echoes(status: int, *others: str) -> list[dict[str, Any]]:
    """Return a provider's error that repeats secrets in several spellings."""
    repeated = [secret for name, secret in SECRETS.items() if name != "of a workspace"]
    told = " ".join(f"{secret} b'Bearer {secret}\\n'" for secret in (*repeated, *others))
    return [refusal(status, f"bad request: {told}", code=SECRETS["of a variable"])]


SCRIPTS = {
    "variable": [answer()],
    "file": _echoes(400),
    "literal": _echoes(500),
    "header": _echoes(429),
    "workspace": _echoes(403, OWN),
    "common": [refusal(400, COMMON)],
}


class WorkspaceScript(Script):
    """Refuses requests with the workspace's key; answers others, whose senders may not know it."""

    def choose(self, name: str, request: Sent) -> Mapping[str, Any]:
        if request.headers["authorization"] == f"Bearer {OWN}":
            return super().choose(name, request)
        return answer()


@pytest.fixture(scope="module")
def provider() -> Iterator[Playback]:
    playback = Playback()
    playback.recordings.update({slug: Script(list(each)) for slug, each in SCRIPTS.items()})
    playback.recordings["workspace"] = WorkspaceScript(list(SCRIPTS["workspace"]))
    yield playback
    playback.close()


@pytest.fixture(scope="module")
def waybill(provider: Playback, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    file = tmp_path_factory.mktemp("keys") / "key"
    file.write_text(SECRETS["of a file"] + "\n")
    keys = {
        "variable": "env:NL_KEY",
        "file": f"file:{file}",
        "literal": SECRETS["of waybill.toml"] + "\\n",
        "common": "any",
    }
    header = f'headers = {{ x-token = "{SECRETS["of a header"]}" }}'
    config = "".join(
        tables(slug, provider.port, key=keys.get(slug, "any"), more=header) for slug in SCRIPTS
    )
    settings = {
        "NL_KEY": SECRETS["of a variable"] + "\n",
        "GROQ_API_KEY": SECRETS["of a vendor"] + "\n",
        "WAYBILL_SECRET_KEY": SECRETS["the secret key"],
        "WAYBILL_METRICS_TOKEN": SECRETS["the metrics token"],
        "WAYBILL_OIDC_CLIENT_SECRET": SECRETS["the sign-in secret"],
        "WAYBILL_DEFAULT_MAX_ATTEMPTS": "2",
    }
    with Installation(settings, config=config) as installation:
        yield installation


@pytest.fixture(scope="module")
def told(waybill: Installation, provider: Playback) -> dict[str, str]:
    """Use every secret, and return all that anybody can see of it afterwards."""
    seen = {}
    added = ("credentials", "add", "workspace")
    seen["waybill credentials add"] = _command(
        waybill, *added, given=SECRETS["of a workspace"] + "\n"
    )
    until(lambda: _is_sent(waybill, provider), 30, waybill.log)
    for slug in SCRIPTS:
        for stream in (False, True):
            seen |= _call(waybill, slug, stream=stream)
    for path in ("/providers", "/models", "/jobs", "/usage"):
        seen[f"GET {path}"] = waybill.http.get(path).text
    seen["health"] = waybill.http.get(f"{waybill.root}/health").text
    seen["metrics"] = waybill.http.get(
        f"{waybill.root}/metrics",
        headers={"authorization": f"Bearer {SECRETS['the metrics token']}"},
    ).text
    for words in (
        ("providers", "list"), ("providers", "list", "--all"), ("providers", "check"),
        ("providers", "check", "variable", "file", "literal"), ("doctor",), ("settings",),
        ("credentials", "list"), ("models", "list"), ("jobs", "list"),
    ):  # fmt: skip
        seen[f"waybill {' '.join(words)}"] = _command(waybill, *words)
    seen["the database"] = _rows(waybill)
    seen["Redis"] = _redis(waybill)
    seen["the log"] = waybill.log()
    return seen


def test_the_keys_were_sent_clean(told, provider):
    def sent(slug: str, name: str) -> set[str]:
        return {each.headers[name] for each in provider.recordings[slug].requests}

    assert sent("variable", "authorization") == {f"Bearer {SECRETS['of a variable']}"}
    assert sent("file", "authorization") == {f"Bearer {SECRETS['of a file']}"}
    assert sent("literal", "authorization") == {f"Bearer {SECRETS['of waybill.toml']}"}
    assert f"Bearer {SECRETS['of a workspace']}" in sent("workspace", "authorization")


def test_no_secret_is_seen_anywhere(told):
    leaks = {
        place: shown[max(shown.find(MARK) - 80, 0) : shown.find(MARK) + 60]
        for place, shown in told.items()
        if any(secret in shown for secret in SECRETS.values())
    }
    assert leaks == {}
    assert "[redacted]" in told["a job of file"]
    assert "[redacted]" in told["a job of workspace"]
    assert "[redacted]" in told["the database"]


def test_common_keys_leave_words_alone(told):
    assert COMMON in told["a job of common"]


@pytest.mark.parametrize("words", [("providers", "check"), ("doctor",), ("worker",), ("api",)])
def test_a_key_with_a_line_break_inside_is_refused_by_its_name(waybill, words):
    broken = f"{SECRETS['of a variable'][:8]}\n{SECRETS['of a variable'][8:]}"
    environ = {"NL_KEY": broken}
    if words in (("providers", "check"), ("doctor",)):  # these look at a server that runs here
        environ["WAYBILL_DATA_DIR"] = str(waybill.directory / "elsewhere")
    shown = _command(waybill, *words, **environ)
    assert "NL_KEY (api_key of provider 'variable' in waybill.toml): has a line break" in shown
    assert MARK not in shown


def _call(waybill: Installation, slug: str, *, stream: bool) -> dict[str, str]:
    """Make a call and return all that its caller can see of it."""
    body = {"model": f"t/{slug}", "messages": [{"role": "user", "content": "Hello"}]}
    answered = waybill.http.post("/chat/completions", json=body | {"stream": stream})
    job_id = answered.headers["x-job-id"]
    until(lambda: waybill.job(job_id).get("ended_at"), 60, waybill.log)
    return {
        f"a call of {slug} (stream: {stream})": answered.text,
        f"a job of {slug}": waybill.http.get(f"/jobs/{job_id}").text,
        f"its events ({slug})": waybill.http.get(f"/jobs/{job_id}/events").text,
    }


def _is_sent(waybill: Installation, provider: Playback) -> bool:
    """Make a call; return whether it went out with the workspace's key."""
    body = {"model": "t/workspace", "messages": [{"role": "user", "content": "Hello"}]}
    waybill.http.post("/chat/completions", json=body)
    sent = [each.headers["authorization"] for each in provider.recordings["workspace"].requests]
    return f"Bearer {SECRETS['of a workspace']}" in sent


def _command(waybill: Installation, *words: str, given: str = "", **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "cli", *words],
        input=given,
        env=os.environ
        | waybill.environment
        | {"WAYBILL_URL": waybill.root, "WAYBILL_API_KEY": KEY}
        | environ,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def _rows(waybill: Installation) -> str:
    """Return every row of every table, as text."""
    engine = create_engine(waybill.database_url)
    with engine.connect() as connection:
        shown = [
            table + " ".join(_text(value) for value in row)
            for table in inspect(engine).get_table_names()
            for row in connection.execute(text(f'SELECT * FROM "{table}"'))
        ]
    engine.dispose()
    assert len(shown) > len(SCRIPTS)
    return "\n".join(shown)


def _redis(waybill: Installation) -> str:
    """Return every key of Redis with its value, as text."""
    with Redis.from_url(waybill.redis_url) as redis:
        readers: dict[bytes, Any] = {
            b"string": redis.get,
            b"hash": redis.hgetall,
            b"stream": redis.xrange,
            b"set": redis.smembers,
        }
        shown = [
            _text(key) + repr(readers.get(redis.type(key), redis.dump)(key))
            for key in redis.scan_iter()
        ]
    assert shown
    return "\n".join(shown)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
