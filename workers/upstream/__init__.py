"""HTTP calls to providers."""
