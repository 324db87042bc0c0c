"""OpenAI's Responses API: its bodies, answers and events (platform.openai.com/docs/api-reference).

`schemas` and `item_schemas` check a body, `request` translates it to a chat body with `input_items`
(items to messages) and `tools`. `answer` builds the `response` object from a chat completion with
`output_items`, and `stream` builds its typed events from the job's chunks. `reasoning` translates
reasoning items in both directions; `items` lists the input of a response.
"""
