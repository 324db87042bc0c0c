"""`waybill eval` and `waybill replay`: compare models by accuracy."""
