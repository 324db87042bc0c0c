"""Computation on callers' data, in processes that can be killed.

`pool` runs the functions of `json_text` and `pdf_text` there. These two import nothing of Waybill,
so a process for them loads nothing else.
"""
