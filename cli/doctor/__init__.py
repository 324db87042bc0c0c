"""`waybill doctor`: is everything in order, and if not, what to do."""
