"""Answers of the routes under /presets, as the OpenAPI document describes them.

Times are texts (ISO 8601, UTC).
"""

from typing import Any

from pydantic import BaseModel, Field


class ListedPreset(BaseModel):
    """A preset as lists show it."""

    id: str = Field(description="The id of the preset (`preset_…`).")
    slug: str = Field(description="The name that bodies refer to: `@preset/slug`.")
    name: str = Field(description="The slug.")
    description: str | None = Field(description="Null: OpenRouter's field, not used here.")
    status: str = Field(description="`active`.")
    status_updated_at: str | None = Field(description="Null: OpenRouter's field, not used here.")
    designated_version_id: str = Field(description="The id of the version that calls use.")
    workspace_id: str = Field(description="The id of the workspace.")
    creator_user_id: str | None = Field(description="Null: OpenRouter's field, not used here.")
    created_at: str = Field(description="The time of the first version.")
    updated_at: str = Field(description="The time of the last change.")


class ListedPresetVersion(BaseModel):
    """One version of a preset."""

    id: str = Field(description="The id of the preset, a dot and the number of the version.")
    preset_id: str = Field(description="The id of the preset.")
    version: int = Field(description="The number of the version, from 1.")
    config: dict[str, Any] = Field(description="The fields of the chat body, without messages.")
    system_prompt: str | None = Field(description="The system prompt, if the preset has one.")
    creator_id: str = Field(description="The id of the API key that saved the version.")
    created_at: str = Field(description="The time of the version.")
    updated_at: str = Field(description="The time of the version.")


class PresetWithVersion(ListedPreset):
    """A preset with the version that calls use."""

    designated_version: ListedPresetVersion = Field(description="The version that calls use.")


class PresetAnswer(BaseModel):
    """One preset."""

    data: PresetWithVersion = Field(description="The preset.")


class PresetList(BaseModel):
    """A page of presets, by slug."""

    data: list[ListedPreset] = Field(description="The presets.")
    total_count: int = Field(description="The number of presets on all pages.")


class PresetVersionAnswer(BaseModel):
    """One version of a preset."""

    data: ListedPresetVersion = Field(description="The version.")


class PresetVersionList(BaseModel):
    """A page of versions, newest first."""

    data: list[ListedPresetVersion] = Field(description="The versions.")
    total_count: int = Field(description="The number of versions on all pages.")


class DeletedPreset(BaseModel):
    """The confirmation that a preset was deleted."""

    deleted: bool = Field(description="True.")
