"""Keys of providers that workspaces bring along."""

from typing import Any, ClassVar

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, SQLModel

from broker.storage.tables.columns import big


class ProviderCredential(SQLModel, table=True):
    """A workspace's own key of a provider, sealed (see `sealing`); shown to nobody again."""

    __tablename__: ClassVar[Any] = "provider_credentials"
    __table_args__: ClassVar[Any] = (
        Index("ix_provider_credentials_workspace", "workspace_id", "provider", "sort_order"),
    )

    id: str = Field(primary_key=True)  # byok_…
    workspace_id: str = Field(foreign_key="workspaces.id")
    provider: str
    name: str | None = None
    label: str  # the key, masked
    sealed: str = Field(sa_column=Column(Text, nullable=False))
    sort_order: int = 0  # among the keys of this provider; lower goes first
    is_fallback: bool = False  # tried after the installation's key
    is_required: bool = False  # the installation's key is not used for what this one serves
    is_byok_only: bool = False  # nor for anything else of this provider
    disabled: bool = False
    disabled_reason: str | None = Field(default=None, sa_column=Column(Text))  # None: its owner's
    last_error: str | None = Field(default=None, sa_column=Column(Text))
    last_error_at: int | None = Field(default=None, sa_column=big(nullable=True))
    allowed_models: str | None = Field(default=None, sa_column=Column(Text))  # JSON list of slugs
    allowed_key_ids: str | None = Field(default=None, sa_column=Column(Text))  # JSON list
    allowed_user_ids: str | None = Field(default=None, sa_column=Column(Text))  # JSON list
    created_by: str | None = None
    created_at: int = Field(sa_column=big())
    updated_at: int = Field(sa_column=big())
