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
        f"No endpoint of {', '.join(models)} fits this request: "
        f"{'; '.join(_told(each, excluded) for each in failed)}.",
        param=last.field,
        metadata={"availability": _filtered(models, excluded, last)},
    )


def refuse_choice(router: str, count: int) -> NoReturn:
    """Raise NoEndpointError: a caller's wishes leave a router no model to choose."""
    raise NoEndpointError(
        f"{router} could choose among {count} models here, and `allowed_models`, `excluded_models` "
        "and `min_coding_score` leave none of them.",
        param="allowed_models",
        metadata={"availability": _availability("constraint_filtered", [router])},
    )


def _told(condition: Filter, excluded: Sequence[Exclusion]) -> str:
    """Say what a condition asks for, whom that leaves out, and what they have instead."""
    out = [each for each in excluded if each.code == condition.code]
    shown = [f"{each.provider} ({each.detail})" if each.detail else each.provider for each in out]
    if len(shown) > SHOWN:
        shown[SHOWN:] = [f"{len(out) - SHOWN} more"]
    whom = " and ".join(each for each in (", ".join(shown[:-1]), shown[-1]) if each)
    return f"{condition.field} asks for {condition.wants}, which leaves out {whom}"


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
