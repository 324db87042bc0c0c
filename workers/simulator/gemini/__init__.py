"""The Gemini API, of AI Studio and of Vertex AI.

Read in this order: `wire`, `reading`, `spelling` and `parts` (a call understood), `answer`
(whole and in chunks), `errors`.
"""
