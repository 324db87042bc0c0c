"""Models, endpoints and providers."""
