"""Encryption, signed links, redaction, and rules for URLs that callers hand in.

`redaction` (secrets removed from text), `secret_values` (secrets read), `encryption` (secrets
stored), `signing` (links), `egress` (URLs of callers).
"""
