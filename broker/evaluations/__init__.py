"""Evaluations: the same prompts at several models, with graders; comparisons are those without.

The cells of an evaluation are the lines of a batch, and the calls of its graders are the lines of a
second one. So a cell is resumed, limited and charged as any line of a batch.

In reading order: `grader_options` and `specification` (what callers ask), `rows` (rows and places),
`datasets` (prompts in files), `replay` (prompts of past jobs), `creation` (a row for it), `lines`
and `judging` (calls), `answers` (their results), `reports` (reads), `transitions` (the states),
`grades`, `statistics` and `summary` (figures), `view` and `markdown` (renderings), `comparisons`.
"""
