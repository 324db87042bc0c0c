"""Presets: named, versioned parts of a chat body."""
