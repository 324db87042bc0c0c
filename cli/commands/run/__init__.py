"""`waybill run`: every line of a file as a job."""
