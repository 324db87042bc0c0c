"""`waybill batch`: a file of prompts or rows in, a file of answers out."""
