"""Batches of requests, from a file or in the body."""
