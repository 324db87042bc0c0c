"""`waybill jobs`: look at jobs, cancel them, follow them."""
