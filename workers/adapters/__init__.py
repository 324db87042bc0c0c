"""One folder for each provider wire: declarations and pure translators; `registry` lists them.

Each wire has `adapter`, `request`, `response` and, where it streams, `stream`; larger ones also
`messages`, `tools` and `models`. `base` is the interface. Shared by the wires: `sse` and
`event_reader` (streams), `json_shapes`, `media`, `tool_calls`, `tool_history`, `reasoning`,
`choices`, `vertex`, and `errors/` (failures of providers in one vocabulary).
"""
