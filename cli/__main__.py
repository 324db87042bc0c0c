"""`python -m cli` is `waybill`."""

from cli.main import app

if __name__ == "__main__":  # forks of `waybill up` read this file too
    app(prog_name="waybill")
