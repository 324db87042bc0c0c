"""Datasets: prompts in the formats that people have, read into the prompts of an evaluation.

`rows` (the fields of a row: Waybill's own, OpenAI's evals, samples of inspect-ai, lines of
batches), `promptfoo` (its configurations), `reading` (files).
"""

from broker.evaluations.datasets.reading import SERVED, read_dataset, read_table_rows
from broker.evaluations.datasets.rows import DatasetError, read_rows

__all__ = ["SERVED", "DatasetError", "read_dataset", "read_rows", "read_table_rows"]
