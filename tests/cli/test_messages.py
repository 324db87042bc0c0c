"""Errors that a user can correct end in a sentence, not in a traceback."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.messages import describe_error, find_unknown_variables

NOBODY = "postgresql://u:hush@127.0.0.1:1/x"


@pytest.fixture
def waybill(tmp_path):
    """Runs `waybill …` as a process in an empty directory; returns its exit code and its words."""

    def run(*words, **environ):
        done = subprocess.run(
            [sys.executable, "-m", "cli", *words],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.parametrize(
    ("words", "environ", "told"),
    [
        (["migrate"], {"WAYBILL_DATABASE_URL": NOBODY}, "the database cannot be used (connection"),
        (["migrate"], {"WAYBILL_DATABASE_URL": "mysql://x"}, "must begin with postgresql://"),
        (["migrate"], {"WAYBILL_DATABASE_URL": "postgresql://a:b/c"}, "database_url: Port"),
        (["migrate"], {"WAYBILL_DATA_DIR": "/etc/passwd"}, "/etc/passwd cannot be written"),
        (["up"], {"WAYBILL_DATA_DIR": "/etc/passwd"}, "/etc/passwd cannot be written"),
        (["api"], {"WAYBILL_REDIS_URL": "http://x"}, "redis_url: must begin with redis://"),
        (["worker"], {"WAYBILL_BROKER_URL": "kafka://x"}, "broker_url: must begin with amqp://"),
        (["api"], {}, "`waybill migrate` creates it; if yours is elsewhere, `cd` to it"),
        (["dispatcher"], {}, "`waybill migrate` creates it"),
        (["keys", "list"], {"WAYBILL_DATABASE_URL": NOBODY}, "check WAYBILL_DATABASE_URL"),
    ],
)
def test_trouble_is_one_sentence(waybill, words, environ, told):
    code, said = waybill(*words, **environ)
    assert code == 1
    assert told in said
    assert "Traceback" not in said
    assert "sqlalche.me" not in said
    assert "hush" not in said


def test_an_api_before_the_tables_are_there_says_what_makes_them(waybill, tmp_path):
    (tmp_path / ".waybill").mkdir()
    (tmp_path / ".waybill" / "waybill.db").touch()
    code, said = waybill("api")
    assert code == 1
    assert said.endswith("has no tables yet: run `waybill migrate`\n")


@pytest.mark.parametrize("amount", ["1e400", "10000001", "0.0000000001"])
def test_an_amount_that_cannot_be_booked_is_refused(command, database, amount):
    done = command("credits", "add", "default", amount)
    assert done.exit_code == 2
    assert amount in done.output


@pytest.mark.parametrize(
    "option", ["--limit=1e400", "--limit=1e12", "--days=1e400", "--per-minute=99999999999999999999"]
)
def test_a_limit_beyond_any_is_refused(command, database, option):
    assert command("keys", "create", "x", option).exit_code == 2


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    def broken():
        raise RuntimeError("ours")

    monkeypatch.setattr("cli.commands.settings.load_configuration", broken)
    assert isinstance(CliRunner().invoke(app, ["settings"]).exception, RuntimeError)


def test_a_variable_that_nothing_reads_is_told():
    assert find_unknown_variables(["WAYBILL_PROT", "WAYBILL_API_KEYS", "WAYBILL_URL", "PATH"]) == [
        "WAYBILL_PROT is not a setting; did you mean PORT?",
        "WAYBILL_API_KEYS is not a setting; did you mean API_KEY?",
    ]


def test_the_version_is_told(command):
    assert command("--version").stdout.startswith("waybill 0.")


@pytest.mark.parametrize(
    "words", [["models", "list"], ["models", "show", "zzz"], ["catalog", "history", "p", "a/b"],
              ["keys", "list"], ["credits", "show"], ["providers", "list"], ["usage"], ["doctor"]]
)  # fmt: skip
def test_reading_makes_nothing(waybill, tmp_path, words):
    waybill(*words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_there", [False, True])
def test_migrating_leaves_a_directory_that_is_its_owners_alone(waybill, tmp_path, is_there):
    if is_there:
        (tmp_path / ".waybill").mkdir(mode=0o755)
    assert waybill("migrate")[0] == 0
    assert (tmp_path / ".waybill").stat().st_mode & 0o777 == 0o700


def test_a_model_that_is_not_there_is_told_in_the_command_lines_words(command):
    assert "`waybill models list` lists what is" in command("models", "show", "zzz").stderr


def test_a_missing_package_is_told_in_one_sentence():
    told = describe_error(ModuleNotFoundError("No module named 'x'", name="sqlalchemy.orm"))
    assert told is not None
    assert "'sqlalchemy' is not installed" in told
    assert "\n" not in told
    assert describe_error(ModuleNotFoundError("No module named 'y'", name="broker.absent")) is None
