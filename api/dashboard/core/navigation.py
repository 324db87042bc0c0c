"""The navigation of the dashboard: its groups of pages, for the role of the visitor."""

from collections.abc import Sequence

from api.dashboard.core.visitors import Visitor
from broker.values import immutable


@immutable
class Entry:
    """A page in the navigation."""

    label: str
    path: str  # below the root of the workspace; empty for the overview
    for_admins: bool = False
    for_operators: bool = False

    def is_for(self, visitor: Visitor) -> bool:
        """Return whether the page is of use to the visitor."""
        if self.for_operators:
            return visitor.is_operator
        return visitor.is_admin or not self.for_admins


@immutable
class Group:
    """A group of pages."""

    label: str
    entries: Sequence[Entry]


GROUPS = (
    Group(
        "", (Entry("Overview", ""), Entry("Playground", "/playground"), Entry("Models", "/models"))
    ),
    Group(
        "Work",
        (
            Entry("Jobs", "/jobs"),
            Entry("Batches", "/batches"),
            Entry("Evaluations", "/evaluations"),
            Entry("Webhooks", "/webhooks"),
        ),
    ),
    Group(
        "Access",
        (
            Entry("Keys", "/keys", for_admins=True),
            Entry("Members", "/members"),
            Entry("Provider keys", "/provider-keys", for_admins=True),
            Entry("Presets", "/presets"),
        ),
    ),
    Group("Money", (Entry("Credits", "/credits"), Entry("Budgets", "/budgets"))),
    Group(
        "Installation",
        (
            Entry("Providers", "/providers"),
            Entry("Users", "/users", for_operators=True),
            Entry("Audit log", "/audit", for_admins=True),
            Entry("Settings", "/settings", for_admins=True),
        ),
    ),
)


@immutable
class Link:
    """An entry as the page shows it."""

    label: str
    path: str
    is_current: bool


@immutable
class LinkGroup:
    """A group of links."""

    label: str
    links: Sequence[Link]


def build_navigation(visitor: Visitor, path: str) -> Sequence[LinkGroup]:
    """Return the groups of links that a visitor may follow; the one of `path` is current."""
    groups = []
    for group in GROUPS:
        links = [
            Link(entry.label, visitor.root + entry.path, _is_current(visitor, entry, path))
            for entry in group.entries
            if entry.is_for(visitor)
        ]
        if links:
            groups.append(LinkGroup(group.label, links))
    return groups


def _is_current(visitor: Visitor, entry: Entry, path: str) -> bool:
    full = visitor.root + entry.path
    return path == full or (bool(entry.path) and path.startswith(f"{full}/"))
