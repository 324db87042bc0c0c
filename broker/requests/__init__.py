"""Request bodies: validation, operations, plugins, sizes and token estimates.

`bodies` (schemas), `operations` (API paths and wires), `parameters`, `plugins`,
`context_compression`, `content_sizes` and `token_estimates` (measured without a provider),
`data_uris`, `whole_numbers`.
"""
