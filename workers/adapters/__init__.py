"""Translators between OpenAI's chat completions and the providers' wires, one package a wire.

The contract is `base.Adapter`. It is pure: it opens no connection, reads no clock and keeps no
state. An adapter builds a request from a chat body (`build_request`) and reads what comes back: a
whole answer (`read_response`), a stream (`create_stream_reader`), its usage (`read_usage`) or an
error (`read_error`). It raises `MalformedAnswerError` for an answer that is not of its wire, and
`ProviderFailureError` for a failure that the provider reports inside a 2xx answer.
`tests/contract/` checks every adapter against recordings.

Read `base` first, then one wire. The modules of all wires have the same names and functions:

    adapter     the `Adapter` itself, with `build_headers` and the URL
    request     `build_body`: the JSON body of a request
    response    `read_response`, `read_usage`, and `require_success`, which raises reported failures
    stream      the wire's `…StreamReader`
    messages, tools, models, media      parts of a request, where they are long

`mistral` derives from `openai`, as do the Azure wire in `openai.adapter` and most vendors.

Shared by the wires: `event_reader` and `sse` read streams, `choices` has the finish reasons,
`tool_calls` and `tool_history` normalise calls, `media` and `reasoning` read those parts of a body,
`json_shapes` reads JSON leniently, `vertex` has Google's addresses, and `errors/` classifies
failures. `registry` lists the adapters by wire.
"""
