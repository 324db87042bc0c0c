"""Answers of the routes under /health, for the OpenAPI document."""

from typing import Literal

from pydantic import BaseModel, Field

from broker.providers.endpoint_stats import Circuit


class Check(BaseModel):
    """The check of a part of the installation."""

    ok: bool = Field(description="Whether the part answers in time.")
    error: str | None = Field(None, description="The error; absent if the part answers.")


class WorkerCheck(Check):
    """The check of the workers."""

    count: int | None = Field(None, description="The number of workers; absent with an error.")


class Checks(BaseModel):
    """The checks of all parts that a job needs."""

    database: Check = Field(description="The database.")
    queue: Check = Field(description="The message queue.")
    events: Check = Field(description="The Redis server that passes events on.")
    workers: WorkerCheck = Field(description="The workers: at least one must run.")


class OpenCircuit(BaseModel):
    """An endpoint or provider that is not called at present, or is called on trial."""

    provider: str = Field(description="The slug of the provider.")
    model: str | None = Field(
        description="The slug of the model; null for the whole provider, whose key was refused."
    )
    circuit: Circuit = Field(description="The state of the circuit breaker.")
    until: float | None = Field(description="The end of the pause in Unix seconds, if any.")


class Health(BaseModel):
    """The state of the installation."""

    status: Literal["ok", "degraded"] = Field(
        description="`degraded` if a check fails or a circuit is not closed."
    )
    checks: Checks = Field(description="The checks.")
    providers: list[OpenCircuit] = Field(description="The circuits that are not closed.")


class Liveness(BaseModel):
    """The state of the process."""

    status: Literal["live"] = Field(description="`live`.")


class Readiness(BaseModel):
    """The readiness of the installation to run jobs."""

    status: Literal["ready", "not ready"] = Field(description="`ready` if all checks succeed.")
    checks: Checks = Field(description="The checks.")
