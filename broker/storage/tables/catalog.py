"""What imports put over the price list that comes with the package."""

from typing import Any, ClassVar

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, SQLModel

from broker.storage.tables.columns import big


class CatalogImport(SQLModel, table=True):
    """One import that somebody applied; undone ones stay on record and count no more."""

    __tablename__: ClassVar[Any] = "catalog_imports"

    id: str = Field(primary_key=True)  # imp_…
    source: str  # where it came from, in a person's words
    changes: int  # how many endpoints it changed
    applied_at: int = Field(sa_column=big())
    undone_at: int | None = Field(default=None, sa_column=big(nullable=True))


class CatalogOffer(SQLModel, table=True):
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
