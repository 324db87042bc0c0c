"""Presets in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, insert, select, update

from broker.errors import InvalidRequestError, NotFoundError
from broker.ids import new_id
from broker.presets.merging import PresetContent
from broker.storage.tables import Preset, PresetVersion, table

MOST = 1_000  # of one workspace

_presets = table(Preset)
_versions = table(PresetVersion)


@dataclass(frozen=True, slots=True)
class StoredPreset:
    """A preset's row, and the row of one of its versions."""

    preset: Any
    version: Any

    @property
    def content(self) -> PresetContent:
        return PresetContent(orjson.loads(self.version.config), self.version.system_prompt)


@dataclass(frozen=True, slots=True)
class PresetName:
    """One preset of a workspace."""

    workspace_id: str
    slug: str


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A wish to keep something under a slug: a new preset, or the next version of a known one."""

    name: PresetName
    api_key_id: str
    content: PresetContent
    now: int


@dataclass(frozen=True, slots=True)
class PresetChoice:
    """A wish that calls get this version from now on."""

    name: PresetName
    version: int
    now: int


def find(
    connection: Connection, workspace_id: str, slug: str, version: int | None = None
) -> StoredPreset | None:
    """Return a preset with its chosen version, or with the one asked for."""
    preset = connection.execute(
        select(_presets).where(_presets.c.workspace_id == workspace_id, _presets.c.slug == slug)
    ).first()
    if preset is None:
        return None
    number = preset.version if version is None else version
    row = connection.execute(
        select(_versions).where(_versions.c.preset_id == preset.id, _versions.c.version == number)
    ).first()
    return None if row is None else StoredPreset(preset, row)


def get_content(connection: Connection, workspace_id: str, slug: str) -> PresetContent:
    """Return what a preset holds. Raises NotFoundError for one that there is not."""
    found = find(connection, workspace_id, slug)
    if found is None:
        raise NotFoundError(
            f"There is no preset {slug!r}: GET /api/v1/presets lists them.", param="preset"
        )
    return found.content


def list_presets(
    connection: Connection, workspace_id: str, limit: int, offset: int
) -> tuple[Sequence[Any], int]:
    """Return one page of a workspace's presets, by slug, and how many there are."""
    mine = _presets.c.workspace_id == workspace_id
    query = select(_presets).where(mine).order_by(_presets.c.slug).limit(limit).offset(offset)
    count = connection.execute(select(func.count()).select_from(_presets).where(mine)).scalar_one()
    return connection.execute(query).all(), count


def list_versions(
    connection: Connection, workspace_id: str, slug: str, limit: int, offset: int
) -> tuple[Sequence[Any], int]:
    """Return one page of a preset's versions, newest first, and how many there are."""
    of_it = select(_versions).join(_presets, _presets.c.id == _versions.c.preset_id)
    of_it = of_it.where(_presets.c.workspace_id == workspace_id, _presets.c.slug == slug)
    count = connection.execute(select(func.count()).select_from(of_it.subquery())).scalar_one()
    query = of_it.order_by(_versions.c.version.desc()).limit(limit).offset(offset)
    return connection.execute(query).all(), count


def save_many(connection: Connection, wishes: Sequence[NewVersion]) -> list[Exception | None]:
    """Keep new versions; calls get them from now on."""
    return [_save(connection, wish) for wish in wishes]


def _save(connection: Connection, wish: NewVersion) -> Exception | None:
    known = _lock(connection, wish.name)
    if known is None and (refusal := _full(connection, wish.name.workspace_id)):
        return refusal
    preset_id = known.id if known else new_id("preset_")
    newest = func.coalesce(func.max(_versions.c.version), 0)
    number = (
        1
        + connection.execute(select(newest).where(_versions.c.preset_id == preset_id)).scalar_one()
    )
    if known:
        _choose(connection, preset_id, number, wish.now)
    else:
        connection.execute(
            insert(_presets).values(
                id=preset_id,
                workspace_id=wish.name.workspace_id,
                slug=wish.name.slug,
                version=number,
                created_at=wish.now,
                updated_at=wish.now,
            )
        )
    connection.execute(
        insert(_versions).values(
            preset_id=preset_id,
            version=number,
            api_key_id=wish.api_key_id,
            system_prompt=wish.content.system_prompt,
            config=orjson.dumps(wish.content.config).decode(),
            created_at=wish.now,
        )
    )
    return None


def choose_many(connection: Connection, choices: Sequence[PresetChoice]) -> list[Exception | None]:
    """Let calls get another version."""
    return [_chosen(connection, choice) for choice in choices]


def _chosen(connection: Connection, choice: PresetChoice) -> Exception | None:
    known = _lock(connection, choice.name)
    name = choice.name
    if known is None or not find(connection, name.workspace_id, name.slug, choice.version):
        return NotFoundError(f"There is no version {choice.version} of {choice.name.slug!r}.")
    _choose(connection, known.id, choice.version, choice.now)
    return None


def delete_many(connection: Connection, names: Sequence[PresetName]) -> list[bool]:
    """Delete presets with all their versions; return which there were."""
    return [_delete(connection, name) for name in names]


def _delete(connection: Connection, name: PresetName) -> bool:
    known = _lock(connection, name)
    if known is None:
        return False
    connection.execute(delete(_versions).where(_versions.c.preset_id == known.id))
    connection.execute(delete(_presets).where(_presets.c.id == known.id))
    return True


def _lock(connection: Connection, name: PresetName) -> Any | None:
    return connection.execute(
        select(_presets)
        .where(_presets.c.workspace_id == name.workspace_id, _presets.c.slug == name.slug)
        .with_for_update()
    ).first()


def _full(connection: Connection, workspace_id: str) -> Exception | None:
    mine = select(func.count()).where(_presets.c.workspace_id == workspace_id)
    if connection.execute(mine).scalar_one() < MOST:
        return None
    return InvalidRequestError(f"A workspace has at most {MOST} presets: delete one.", param="slug")


def _choose(connection: Connection, preset_id: str, version: int, now: int) -> None:
    connection.execute(
        update(_presets).where(_presets.c.id == preset_id).values(version=version, updated_at=now)
    )
