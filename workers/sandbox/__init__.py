"""Computation on callers' data, in processes that can be killed.

`pool` runs a function there; `json_text` and `pdf_text` are what it runs. These two import nothing
of Waybill: a process that is started for them loads them and no more.
"""
