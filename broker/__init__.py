"""The domain: no web framework and no HTTP client. ARCHITECTURE.md lists the packages."""
