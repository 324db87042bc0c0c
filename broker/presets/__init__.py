"""Presets: a model, a system prompt and parameters under a name, versioned.

A body refers to one by `"model": "@preset/slug"`, `"model": "author/model@preset/slug"` or
`"preset": "slug"` (openrouter.ai/docs/guides/features/presets). `merging` is pure, `store` keeps.
"""

from broker.presets.merging import PresetContent, capture, find_slug, is_prompted, merge
from broker.presets.store import (
    NewVersion,
    PresetName,
    PresetRow,
    StoredPreset,
    VersionRow,
    choose,
    delete,
    find,
    get_content,
    list_presets,
    list_versions,
    save,
)

__all__ = [
    "NewVersion",
    "PresetContent",
    "PresetName",
    "PresetRow",
    "StoredPreset",
    "VersionRow",
    "capture",
    "choose",
    "delete",
    "find",
    "find_slug",
    "get_content",
    "is_prompted",
    "list_presets",
    "list_versions",
    "merge",
    "save",
]
