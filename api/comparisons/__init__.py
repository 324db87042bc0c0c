"""The same prompts put to several models."""
