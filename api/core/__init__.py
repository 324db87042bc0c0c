"""Modules that all features of the API share."""
