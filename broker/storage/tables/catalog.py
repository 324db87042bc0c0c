"""Catalog imports, paused providers, and presets."""

from typing import Any, ClassVar

from sqlalchemy import Column, Index, Text
from sqlmodel import Field

from broker.storage.tables.columns import TableModel, big


class CatalogImport(TableModel, table=True):
    """One import that somebody applied; undone ones stay on record and count no more."""

    __tablename__: ClassVar[Any] = "catalog_imports"

    id: str = Field(primary_key=True)  # imp_…
    source: str  # where it came from, in a person's words
    changes: int  # how many endpoints it changed
    applied_at: int = Field(sa_column=big())
    undone_at: int | None = Field(default=None, sa_column=big(nullable=True))


class CatalogOffer(TableModel, table=True):
    """An endpoint as an import says it is from a moment on. Rows are never changed."""

    __tablename__: ClassVar[Any] = "catalog_offers"
    __table_args__ = (Index("ix_catalog_offers_endpoint", "provider", "model"),)

    import_id: str = Field(primary_key=True, foreign_key="catalog_imports.id")
    provider: str = Field(primary_key=True)
    model: str = Field(primary_key=True)  # slug
    effective_from: int = Field(sa_column=big())
    offer: str | None = Field(
        default=None, sa_column=Column(Text, nullable=True)
    )  # JSON; null = withdrawn: what else is known of the endpoint counts again


class PausedProvider(TableModel, table=True):
    """A provider that an operator has paused: no process calls it until the row is gone."""

    __tablename__: ClassVar[Any] = "paused_providers"

    provider: str = Field(primary_key=True)
    reason: str | None = Field(default=None, sa_column=Column(Text))
    paused_by: str
    paused_at: int = Field(sa_column=big())


class Preset(TableModel, table=True):
    """A name under which a workspace keeps a model, a system prompt and parameters."""

    __tablename__: ClassVar[Any] = "presets"
    __table_args__: ClassVar[Any] = (Index("uq_presets_slug", "workspace_id", "slug", unique=True),)

    id: str = Field(primary_key=True)  # preset_…
    workspace_id: str = Field(foreign_key="workspaces.id")
    slug: str
    version: int  # the one that calls get
    created_at: int = Field(sa_column=big())
    updated_at: int = Field(sa_column=big())


class PresetVersion(TableModel, table=True):
    """A version of a preset. It never changes: a change is another version."""

    __tablename__: ClassVar[Any] = "preset_versions"

    preset_id: str = Field(primary_key=True, foreign_key="presets.id")
    version: int = Field(primary_key=True)  # from 1
    api_key_id: str  # who made it
    system_prompt: str | None = Field(default=None, sa_column=Column(Text))
    config: str = Field(sa_column=Column(Text, nullable=False))  # JSON: fields of a body
    created_at: int = Field(sa_column=big())
