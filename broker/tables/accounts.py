"""Who may call, and who pays."""

from typing import Any, ClassVar

from sqlmodel import Field, SQLModel

from broker.tables.columns import big


class Workspace(SQLModel, table=True):
    """A company or a department: owns keys, jobs and a balance."""

    __tablename__: ClassVar[Any] = "workspaces"

    id: str = Field(primary_key=True)  # ws_…
    name: str
    unlimited: bool = False  # holds and settlements are booked, but never refused
    created_at: int = Field(sa_column=big())


class ApiKey(SQLModel, table=True):
    """A credential. The key itself is shown once and never stored."""

    __tablename__: ClassVar[Any] = "api_keys"

    id: str = Field(primary_key=True)  # key_…
    workspace_id: str = Field(foreign_key="workspaces.id", index=True)
    name: str
    label: str  # the key, masked
    hash: str = Field(unique=True)  # SHA-256 of the key, in hex
    disabled: bool = False
    created_at: int = Field(sa_column=big())
