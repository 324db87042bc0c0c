"""Presets: a model, a system prompt and parameters under a name, versioned.

A body refers to one by `"model": "@preset/slug"`, `"model": "author/model@preset/slug"` or
`"preset": "slug"` (openrouter.ai/docs/guides/features/presets). `merging` is pure, `store` keeps.
"""

from broker.presets.merging import Content, asked, captured, is_prompted, merged
from broker.presets.store import (
    NewVersion,
    PresetChoice,
    PresetName,
    StoredPreset,
    choose_many,
    content,
    delete_many,
    find,
    list_presets,
    save_many,
    versions,
)

__all__ = [
    "Content",
    "NewVersion",
    "PresetChoice",
    "PresetName",
    "StoredPreset",
    "asked",
    "captured",
    "choose_many",
    "content",
    "delete_many",
    "find",
    "is_prompted",
    "list_presets",
    "merged",
    "save_many",
    "versions",
]
