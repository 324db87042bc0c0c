"""Providers' failures in one vocabulary: one table, whatever shape the body has."""

from workers.adapters.errors.classification import read_error, read_reported_error

__all__ = ["read_error", "read_reported_error"]
