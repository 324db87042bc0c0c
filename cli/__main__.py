"""`python -m cli` is `waybill`."""

from cli.main import app

app(prog_name="waybill")
