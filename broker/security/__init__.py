"""Encryption, signed links, redaction, and rules for URLs that callers hand in."""
