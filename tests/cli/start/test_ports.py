"""A port that cannot be is refused before anything starts, by every command that listens."""

import pytest
from typer.testing import CliRunner

from cli.main import app


@pytest.mark.parametrize(
    ("command", "option"),
    [
        *((command, "--port") for command in ("up", "api", "flower", "simulate", "listen")),
        *((command, "--flower-port") for command in ("up", "flower")),
    ],
)
def test_a_port_that_cannot_be_is_refused(command, option):
    refused = CliRunner().invoke(app, [command, option, "99999"])
    assert refused.exit_code == 2
    assert option in refused.output
    assert "65535" in refused.output
