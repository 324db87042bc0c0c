"""A `.env` file, and the environment of the `waybill up` that runs here."""

import asyncio
import os
import socket

import pytest
from typer.testing import CliRunner

from broker import settings
from cli.configuration import (
    environment_socket,
    load_configuration,
    running_environment,
    sharing_environment,
)
from cli.environment import own_variables, take_env_file
from cli.main import app


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    before = dict(os.environ)
    monkeypatch.chdir(tmp_path)
    for name in own_variables(os.environ):
        del os.environ[name]
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("OPENAI_API_KEY=sk-1", {"OPENAI_API_KEY": "sk-1"}),
        ("export WAYBILL_PORT=9000", {"WAYBILL_PORT": "9000"}),
        ('GEMINI_API_KEY="with # and space"  # a comment', {"GEMINI_API_KEY": "with # and space"}),
        ("OLLAMA_HOST='http://gpu:11434'\r", {"OLLAMA_HOST": "http://gpu:11434"}),
        ("AWS_REGION=eu-central-1", {"AWS_REGION": "eu-central-1"}),
        ("FLOWER_BASIC_AUTH=me:secret", {"FLOWER_BASIC_AUTH": "me:secret"}),
        ("UPSTREAM_KEY=sk-2", {"UPSTREAM_KEY": "sk-2"}),  # named in waybill.toml
        ("OPENAI_API_KEY=", {}),
        ("OPENAI_API_KEY", {}),
        ("# OPENAI_API_KEY=sk-1", {}),
        ("PYTHONPATH=src", {}),
        ("DJANGO_SETTINGS_MODULE=shop.settings", {}),
        ("CELERY_BROKER_URL=redis://elsewhere", {}),
        ("PATH=/nowhere", {}),
    ],
)
def test_what_waybill_reads_is_taken(directory, line, expected):
    (directory / "waybill.toml").write_text(
        '[[providers]]\nslug = "up"\nwire = "openai"\nbase_url = "http://h/v1"\n'
        'api_key = "env:UPSTREAM_KEY"\n'
    )
    (directory / ".env").write_text(f"{line}\n")
    environ: dict[str, str] = {}
    assert take_env_file(environ) is not None
    assert environ == expected


@pytest.mark.parametrize("own", ["sk-own", ""])
def test_the_environment_wins(directory, own):
    (directory / ".env").write_text("OPENAI_API_KEY=sk-file\nWAYBILL_PORT=9000\n")
    environ = {"OPENAI_API_KEY": own}
    told = take_env_file(environ)
    assert environ == {"OPENAI_API_KEY": own, "WAYBILL_PORT": "9000"}
    assert told == "read .env: WAYBILL_PORT (the environment has its own OPENAI_API_KEY)"


def test_another_file_or_none_may_be_named(directory):
    (directory / ".env").write_text("WAYBILL_PORT=9000\n")
    (directory / "mine.env").write_text("WAYBILL_PORT=9001\n")
    other = {"WAYBILL_ENV_FILE": "mine.env"}
    assert take_env_file(other) == "read mine.env: WAYBILL_PORT"
    assert other["WAYBILL_PORT"] == "9001"
    assert take_env_file(none := {"WAYBILL_ENV_FILE": ""}) is None
    assert none == {"WAYBILL_ENV_FILE": ""}
    with pytest.raises(SystemExit, match="WAYBILL_ENV_FILE names absent"):
        take_env_file({"WAYBILL_ENV_FILE": "absent"})


def test_a_directory_of_that_name_is_no_such_file(directory):
    (directory / ".env").mkdir()
    assert take_env_file({}) is None


def test_a_file_that_is_no_text_is_refused_by_name(directory):
    (directory / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SystemExit, match=r"\.env cannot be read"):
        take_env_file({})


@pytest.mark.parametrize(("words", "says"), [(["migrate"], True), (["settings"], False)])
def test_commands_read_it_and_those_that_start_something_say_so(directory, words, says):
    (directory / ".env").write_text("WAYBILL_FLOWER_PORT=5999\n")
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 0, ended.output
    assert ("read .env: WAYBILL_FLOWER_PORT" in ended.stderr) is says
    assert settings.load().flower_port == 5999


async def test_a_command_beside_a_running_server_sees_its_environment(directory, monkeypatch):
    data_dir = directory / "data"
    data_dir.mkdir()
    monkeypatch.setenv("WAYBILL_DATA_DIR", "data")
    assert running_environment(data_dir) is None
    # Given a server with a key, a setting and a file that this environment does not have
    (directory / "waybill.toml").write_text("port = 9001\n")
    with monkeypatch.context() as servers:
        servers.setenv("OPENAI_API_KEY", "sk-server")
        servers.setenv("WAYBILL_FLOWER_PORT", "5999")
        servers.setenv("HOME", "/servers")
        sharing = sharing_environment(data_dir)
        await sharing.__aenter__()
    assert environment_socket(data_dir).stat().st_mode & 0o077 == 0
    # When a command looks at what is in force, in another terminal
    monkeypatch.setenv("GEMINI_API_KEY", "sk-terminal")
    monkeypatch.setenv("WAYBILL_API_KEY", "sk-wb-mine")
    elsewhere = directory / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("WAYBILL_DATA_DIR", "../data")
    config = await asyncio.to_thread(load_configuration)
    # Then it is the server's, and the command keeps its own key
    assert (config.port, config.flower_port) == (9001, 5999)
    assert config.data_dir == data_dir
    assert os.environ["OPENAI_API_KEY"] == "sk-server"
    assert "GEMINI_API_KEY" not in os.environ
    assert os.environ["WAYBILL_API_KEY"] == "sk-wb-mine"
    assert os.environ["HOME"] != "/servers"
    await sharing.__aexit__(None, None, None)
    assert running_environment(data_dir) is None


def test_a_server_that_does_not_answer_is_no_server(directory, monkeypatch):
    monkeypatch.setattr("cli.configuration.TIMEOUT_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(environment_socket(directory)))
        frozen.listen()
        assert running_environment(directory) is None


async def test_a_path_too_long_for_a_socket_is_said(directory, capsys):
    long = directory / ("x" * 120)
    long.mkdir()
    async with sharing_environment(long):
        assert running_environment(long) is None
    assert "their own environment only" in capsys.readouterr().err
