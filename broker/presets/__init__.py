"""Presets: a model, a system prompt and parameters under a name, versioned.

A body refers to one by `"model": "@preset/slug"`, `"model": "author/model@preset/slug"` or
`"preset": "slug"` (openrouter.ai/docs/guides/features/presets). `merging` is pure, `store` keeps.
"""

from broker.presets.merging import PresetContent, capture, find_slug, is_prompted, merge
from broker.presets.store import (
    NewVersion,
    PresetChoice,
    PresetName,
    StoredPreset,
    choose_many,
    delete_many,
    find,
    get_content,
    list_presets,
    list_versions,
    save_many,
)

__all__ = [
    "NewVersion",
    "PresetChoice",
    "PresetContent",
    "PresetName",
    "StoredPreset",
    "capture",
    "choose_many",
    "delete_many",
    "find",
    "find_slug",
    "get_content",
    "is_prompted",
    "list_presets",
    "list_versions",
    "merge",
    "save_many",
]
