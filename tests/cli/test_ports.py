"""A port that cannot be is refused before anything starts, by every command that listens."""

import pytest
from typer.testing import CliRunner

from cli.main import app


@pytest.mark.parametrize("command", ["up", "api", "flower", "simulate", "listen"])
def test_a_port_that_cannot_be_is_refused(command):
    refused = CliRunner().invoke(app, [command, "--port", "99999"])
    assert refused.exit_code == 2
    assert "'--port'" in refused.output
    assert "65535" in refused.output
