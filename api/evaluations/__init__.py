"""Evaluations: the same prompts at several models, graded."""
