"""`waybill demo`: see it work, with simulated providers."""
