"""The words of accounts."""

from enum import StrEnum


class Role(StrEnum):
    """What a member may do in a workspace; each may also do what those below it may."""

    OWNER = "owner"  # name owners, delete the workspace
    ADMIN = "admin"  # keys, members, limits, settings
    MEMBER = "member"  # give apps a key
    VIEWER = "viewer"  # look

    def reaches(self, least: "Role") -> bool:
        """Whether this role may do what `least` may."""
        return _RANK[self] >= _RANK[least]


_RANK = {role: rank for rank, role in enumerate(reversed(Role))}


class CallerKind(StrEnum):
    """How a caller showed who they are."""

    INFERENCE = "inference"  # a key that runs completions
    MANAGEMENT = "management"  # a key that administers, and runs none
    SESSION = "session"  # a browser that is signed in


class Scope(StrEnum):
    """Rights that an inference key may have besides submitting jobs and reading its own."""

    JOBS = "jobs"  # read, cancel and delete jobs, batches and comparisons of other keys
    FILES = "files"  # read, use and delete files of other keys
    WEBHOOKS = "webhooks"  # webhook endpoints, their secrets, deliveries
    PRESETS = "presets"  # read and change presets; calls may use one without it


ALL_SCOPES = frozenset(Scope)


class LimitReset(StrEnum):
    """When a key's spending limit starts anew: at midnight UTC, weeks on Mondays."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
