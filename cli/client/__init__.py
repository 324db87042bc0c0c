"""A client of Waybill's API: what the commands that talk to a server share."""
