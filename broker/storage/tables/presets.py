"""Presets: named, versioned parts of a request's body."""

from typing import Any, ClassVar

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, SQLModel

from broker.storage.tables.columns import big


class Preset(SQLModel, table=True):
    """A name under which a workspace keeps a model, a system prompt and parameters."""

    __tablename__: ClassVar[Any] = "presets"
    __table_args__: ClassVar[Any] = (Index("uq_presets_slug", "workspace_id", "slug", unique=True),)

    id: str = Field(primary_key=True)  # preset_…
    workspace_id: str = Field(foreign_key="workspaces.id")
    slug: str
    version: int  # the one that calls get
    created_at: int = Field(sa_column=big())
    updated_at: int = Field(sa_column=big())


class PresetVersion(SQLModel, table=True):
    """What a preset holds. Never changed: a change is another version."""

    __tablename__: ClassVar[Any] = "preset_versions"

    preset_id: str = Field(primary_key=True, foreign_key="presets.id")
    version: int = Field(primary_key=True)  # from 1
    api_key_id: str  # who made it
    system_prompt: str | None = Field(default=None, sa_column=Column(Text))
    config: str = Field(sa_column=Column(Text, nullable=False))  # JSON: fields of a body
    created_at: int = Field(sa_column=big())
