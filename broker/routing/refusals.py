"""Nothing is left: which conditions did it, in words and as OpenRouter's `availability` object."""

from collections.abc import Sequence
from typing import NoReturn

from broker.completion import Json
from broker.errors import ModalityError, NoEndpointError
from broker.routing.demand import Needs
from broker.routing.filters import FREE, Exclusion, Filter

MODALITY = "modality"
SHOWN = 5  # endpoints named by a message


def refuse(
    models: Sequence[str],
    needs: Needs,
    conditions: Sequence[Filter],
    excluded: Sequence[Exclusion],
) -> NoReturn:
    """Raise NoEndpointError, or ModalityError when it was the kinds of input that left nothing."""
    if not excluded:
        raise NoEndpointError(
            f"No configured provider serves {', '.join(models)}: configure one, or choose a model "
            "of GET /api/v1/models.",
            param="model",
            metadata={"availability": _availability("no_endpoints", models)},
        )
    codes = {each.code for each in excluded}
    failed = [each for each in (*conditions, FREE) if each.code in codes]
    last = failed[-1]  # those who failed here had passed the rest
    if codes == {MODALITY} and last.field == "messages":
        raise ModalityError(models, needs.modalities)
    raise NoEndpointError(
        f"No endpoint of {', '.join(models)} fits this request. "
        + " ".join(_told(each, excluded) for each in failed),
        param=last.field,
        metadata={"availability": _filtered(models, excluded, last)},
    )


def _told(condition: Filter, excluded: Sequence[Exclusion]) -> str:
    """Say whom a condition left out, and what they have instead."""
    out = [each for each in excluded if each.code == condition.code]
    shown = [f"{each.provider} {each.detail}".strip() for each in out[:SHOWN]]
    more = [f"{len(out) - SHOWN} more"] if len(out) > SHOWN else []
    return f"{condition.field} wants {condition.wants}: not {', '.join(shown + more)}."


def _filtered(models: Sequence[str], excluded: Sequence[Exclusion], last: Filter) -> Json:
    codes = list(dict.fromkeys(each.code for each in excluded))
    private = all(code.startswith("data_policy:") for code in codes)
    return _availability("privacy_restricted" if private else "constraint_filtered", models) | {
        "affected_providers": list(dict.fromkeys(each.provider for each in excluded)),
        "excluded_by": codes,
        "constraint": {"field": last.field, "detail": last.wants},
    }


def _availability(code: str, models: Sequence[str]) -> Json:
    return {"code": code, "retryable": False, "requested_models": list(models)}
