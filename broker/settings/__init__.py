"""Configuration: the environment (`WAYBILL_*`) over `waybill.toml` over the defaults in `groups`.

The only module that reads the environment, apart from the API keys of providers.
"""

import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pydantic import ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from broker.security.redaction import learn
from broker.settings.errors import describe_problem, suggest
from broker.settings.groups import (
    Calls,
    Files,
    Jobs,
    Limits,
    NativeBatches,
    Payments,
    Privacy,
    Serving,
    SignIn,
    Storage,
    Workers,
)
from broker.settings.rows import (
    DataPolicyRow,
    EndpointRow,
    ModelRow,
    PriceRow,
    ProviderRow,
    TierRow,
)
from broker.settings.secrets import secrets_of

PREFIX = "WAYBILL_"
GROUPS = (
    Storage,
    Files,
    Serving,
    Jobs,
    Privacy,
    Payments,
    Limits,
    SignIn,
    Workers,
    Calls,
    NativeBatches,
)


class Settings(
    Storage,
    Files,
    Serving,
    Jobs,
    Payments,
    Privacy,
    Limits,
    SignIn,
    Workers,
    Calls,
    NativeBatches,
    BaseSettings,
):
    """Every setting; in the environment in capitals, after WAYBILL_."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    providers: list[ProviderRow] = []
    models: list[ModelRow] = []

    @model_validator(mode="after")
    def _learn_secrets(self) -> Self:
        learn(secrets_of(self))
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the base class's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = TomlConfigSettingsSource(settings_cls, toml_file=config_path())
        return init_settings, env_settings, toml


def config_path() -> Path:
    """Return the path of waybill.toml: `WAYBILL_CONFIG`, or the one in the working directory."""
    return Path(os.environ.get("WAYBILL_CONFIG", "waybill.toml"))


def load() -> Settings:
    """Read the configuration. Raises SystemExit with the offending field where it is wrong."""
    path = config_path()
    if "WAYBILL_CONFIG" in os.environ and not path.is_file():
        raise SystemExit(f"waybill: WAYBILL_CONFIG names {path}, which is not a file")
    try:
        _refuse_unknown_tables(path)
        return Settings()
    except ValidationError as error:
        raise _wrong(path, [describe_problem(problem) for problem in error.errors()]) from None
    except SettingsError as error:  # a variable that is to be JSON
        raise _wrong(path, [str(error)]) from None
    except ValueError as error:  # TOML that does not parse
        raise SystemExit(f"waybill: {path} cannot be read: {error}") from None


def _wrong(path: Path, lines: Iterable[str]) -> SystemExit:
    return SystemExit(
        f"waybill: the configuration ({path} and WAYBILL_* variables) is wrong:\n"
        + "\n".join(f"  {line}" for line in lines)
    )


def unknown_variables(names: Iterable[str], besides: Iterable[str] = ()) -> list[str]:
    """Say of each WAYBILL_* variable that no setting has its name, nor one of those besides."""
    known = [name.upper() for name in (*Settings.model_fields, *besides)]
    strange = [
        name.removeprefix(PREFIX)
        for name in names
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).upper() not in known
    ]
    return [f"{PREFIX}{name} is not a setting{suggest(name.upper(), known)}" for name in strange]


def _refuse_unknown_tables(path: Path) -> None:
    """Raise SystemExit for a name in waybill.toml that no setting has: `[[provider]]`, say."""
    if not path.is_file():
        return
    unknown = tomllib.loads(path.read_text()).keys() - Settings.model_fields.keys()
    if unknown:
        names = "; ".join(
            f"{name}{suggest(name, Settings.model_fields)}" for name in sorted(unknown)
        )
        raise SystemExit(f"waybill: {path} has names that are no settings: {names}")


__all__ = [
    "GROUPS",
    "DataPolicyRow",
    "EndpointRow",
    "ModelRow",
    "PriceRow",
    "ProviderRow",
    "Settings",
    "TierRow",
    "config_path",
    "load",
    "unknown_variables",
]
