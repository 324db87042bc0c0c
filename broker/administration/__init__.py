"""Administrative changes, each in one transaction with its entry in the audit log."""

from broker.administration.changes import carry_out

__all__ = ["carry_out"]
