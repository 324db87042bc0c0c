"""HTTP calls to providers.

`client` sends a request that an adapter built and reads the `response` with `answer_body`;
`assembly` joins the chunks of a stream, `connection` decides whether a failed request was sent, and
`decompression` bounds the size of a decompressed answer.
"""
