"""The `waybill` command: start the parts, and be a client of the API."""
