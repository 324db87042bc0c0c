"""Store presets and their versions in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy import delete as delete_from

from broker.errors import InvalidRequestError, NotFoundError
from broker.ids import new_id
from broker.presets.merging import PresetContent
from broker.storage.tables import Preset, PresetVersion, columns, table

MOST = 1_000  # of one workspace

_presets = table(Preset)
_versions = table(PresetVersion)


class PresetRow(NamedTuple):
    """A row of `presets`. Times in Unix milliseconds."""

    id: str
    workspace_id: str
    slug: str
    version: int  # the one that calls use
    created_at: int
    updated_at: int


class VersionRow(NamedTuple):
    """A row of `preset_versions`."""

    preset_id: str
    version: int  # from 1
    api_key_id: str  # the key that saved it
    system_prompt: str | None
    config: str  # JSON: fields of a body
    created_at: int  # Unix milliseconds


_SELECT = select(*columns(PresetRow, _presets))
_SELECT_VERSIONS = select(*columns(VersionRow, _versions))


@dataclass(frozen=True, slots=True)
class StoredPreset:
    """A preset with one of its versions."""

    preset: PresetRow
    version: VersionRow

    @property
    def content(self) -> PresetContent:
        """The content of the version."""
        return PresetContent(orjson.loads(self.version.config), self.version.system_prompt)


@dataclass(frozen=True, slots=True)
class PresetName:
    """The identity of a preset: its workspace and slug."""

    workspace_id: str
    slug: str


@dataclass(frozen=True, slots=True)
class NewVersion:
    """Content to save under a slug: as a new preset, or as the next version of an existing one."""

    name: PresetName
    api_key_id: str
    content: PresetContent
    now: int


def find(
    connection: Connection, workspace_id: str, slug: str, version: int | None = None
) -> StoredPreset | None:
    """Return a preset with its chosen version, or with the given one; None if there is none."""
    found = connection.execute(
        _SELECT.where(_presets.c.workspace_id == workspace_id, _presets.c.slug == slug)
    ).first()
    if found is None:
        return None
    preset = PresetRow(*found)
    number = preset.version if version is None else version
    row = connection.execute(
        _SELECT_VERSIONS.where(_versions.c.preset_id == preset.id, _versions.c.version == number)
    ).first()
    return None if row is None else StoredPreset(preset, VersionRow(*row))


def get_content(connection: Connection, workspace_id: str, slug: str) -> PresetContent:
    """Return the content of a preset. Raises NotFoundError."""
    found = find(connection, workspace_id, slug)
    if found is None:
        raise NotFoundError(
            f"There is no preset {slug!r}: GET /api/v1/presets lists them.", param="preset"
        )
    return found.content


def list_presets(
    connection: Connection, workspace_id: str, limit: int, offset: int
) -> tuple[Sequence[PresetRow], int]:
    """Return one page of a workspace's presets, by slug, and their total number."""
    mine = _presets.c.workspace_id == workspace_id
    query = _SELECT.where(mine).order_by(_presets.c.slug).limit(limit).offset(offset)
    count = connection.execute(select(func.count()).select_from(_presets).where(mine)).scalar_one()
    return [PresetRow(*row) for row in connection.execute(query)], count


def list_versions(
    connection: Connection, workspace_id: str, slug: str, limit: int, offset: int
) -> tuple[Sequence[VersionRow], int]:
    """Return one page of a preset's versions, newest first, and their total number."""
    of_it = _SELECT_VERSIONS.join(_presets, _presets.c.id == _versions.c.preset_id)
    of_it = of_it.where(_presets.c.workspace_id == workspace_id, _presets.c.slug == slug)
    count = connection.execute(select(func.count()).select_from(of_it.subquery())).scalar_one()
    query = of_it.order_by(_versions.c.version.desc()).limit(limit).offset(offset)
    return [VersionRow(*row) for row in connection.execute(query)], count


def save(connection: Connection, new: NewVersion) -> None:
    """Save a version, which calls use from now on.

    Raises InvalidRequestError if the preset is new and the workspace has MOST presets already.
    """
    known = _lock(connection, new.name)
    if known is None:
        _check_room(connection, new.name.workspace_id)
    preset_id = known.id if known else new_id("preset_")
    newest = func.coalesce(func.max(_versions.c.version), 0)
    number = (
        1
        + connection.execute(select(newest).where(_versions.c.preset_id == preset_id)).scalar_one()
    )
    if known:
        _choose(connection, preset_id, number, new.now)
    else:
        connection.execute(
            insert(_presets).values(
                id=preset_id,
                workspace_id=new.name.workspace_id,
                slug=new.name.slug,
                version=number,
                created_at=new.now,
                updated_at=new.now,
            )
        )
    connection.execute(
        insert(_versions).values(
            preset_id=preset_id,
            version=number,
            api_key_id=new.api_key_id,
            system_prompt=new.content.system_prompt,
            config=orjson.dumps(new.content.config).decode(),
            created_at=new.now,
        )
    )


def choose(connection: Connection, name: PresetName, version: int, now: int) -> None:
    """Let calls use another version of a preset. Raises NotFoundError."""
    known = _lock(connection, name)
    if known is None or not find(connection, name.workspace_id, name.slug, version):
        raise NotFoundError(f"There is no version {version} of {name.slug!r}.")
    _choose(connection, known.id, version, now)


def delete(connection: Connection, name: PresetName) -> bool:
    """Delete a preset with all its versions; return whether there was one."""
    known = _lock(connection, name)
    if known is None:
        return False
    connection.execute(delete_from(_versions).where(_versions.c.preset_id == known.id))
    connection.execute(delete_from(_presets).where(_presets.c.id == known.id))
    return True


def _lock(connection: Connection, name: PresetName) -> PresetRow | None:
    row = connection.execute(
        _SELECT.where(
            _presets.c.workspace_id == name.workspace_id, _presets.c.slug == name.slug
        ).with_for_update()
    ).first()
    return None if row is None else PresetRow(*row)


def _check_room(connection: Connection, workspace_id: str) -> None:
    mine = select(func.count()).where(_presets.c.workspace_id == workspace_id)
    if connection.execute(mine).scalar_one() >= MOST:
        raise InvalidRequestError(
            f"A workspace has at most {MOST} presets: delete one.", param="slug"
        )


def _choose(connection: Connection, preset_id: str, version: int, now: int) -> None:
    connection.execute(
        update(_presets).where(_presets.c.id == preset_id).values(version=version, updated_at=now)
    )
