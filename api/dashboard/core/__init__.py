"""Shared parts of the dashboard: the visitor, calls of the API, rendering, charts."""
