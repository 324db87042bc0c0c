"""The page /dashboard/components: every component of the pages, for developers."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.dashboard.core import charts, formats
from api.dashboard.core.charts import Series
from api.dashboard.core.conversations import read_messages
from api.dashboard.core.pages import PageRoute, render
from api.dashboard.core.visitors import Place, Visitor, find_places, require_user
from broker.accounts import Role
from broker.completion import Json
from broker.enums import JobState

router = APIRouter(route_class=PageRoute)
MESSAGES: list[Json] = [
    {"role": "system", "content": "Answer in one sentence."},
    {"role": "user", "content": [{"type": "text", "text": "What is a waybill?"}]},
    {
        "role": "assistant",
        "reasoning": "The user asks for a definition.",
        "content": "A document that travels with goods.",
        "tool_calls": [{"function": {"name": "look_up", "arguments": '{"word": "waybill"}'}}],
    },
]


@router.get("/dashboard/components")
async def show_components(request: Request) -> Response:
    """Show each component in its states."""
    user = await require_user(request)
    places = await find_places(request, user) or [Place("", "", "No workspace", Role.VIEWER)]
    hours = [f"{hour:02}:00" for hour in range(12)]
    series = [
        Series(f"model {number}", [(hour * number) % 7 + number for hour in range(12)])
        for number in range(1, 5)
    ]
    values = {
        "bars": charts.stack_bars(hours, series, formats.format_count),
        "lines": charts.draw_lines(hours, series, formats.format_ms),
        "empty_chart": charts.stack_bars(hours, [], formats.format_count),
        "states": [state.value for state in JobState],
        "turns": read_messages(MESSAGES),
        "moment": datetime.now(UTC).timestamp(),
    }
    return await render(request, Visitor(user, places[0], places), "gallery.html", values)
