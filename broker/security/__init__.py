"""Encryption, signed links, redaction, and rules for the URLs of callers.

`redaction` (secrets removed from text), `secret_values` (secrets read), `encryption` (secrets
stored), `signed_links`, `egress` (URLs of callers).
"""
