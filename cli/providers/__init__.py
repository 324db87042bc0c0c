"""`waybill providers`: what is configured, and whether it answers."""
