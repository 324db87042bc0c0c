"""Providers and their endpoints: configuration, statistics, pacing and pauses."""
