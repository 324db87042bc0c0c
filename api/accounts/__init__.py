"""Keys, workspaces, members, users, apps, provider keys and the audit log."""
