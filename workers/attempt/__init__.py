"""The steps of one attempt of a job."""
