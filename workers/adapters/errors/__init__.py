"""Providers' failures in one vocabulary: one table, whatever shape the body has."""

from workers.adapters.errors.classification import classify, reported

__all__ = ["classify", "reported"]
