"""Computation on callers' data, in processes that can be killed.

`pool` runs the functions of the other modules there. These import nothing of Waybill outside this
package, so a process for them loads nothing else. `json_text` (repair and validation), `pdf_pages`
(text and pictures of a PDF's pages), `local_ocr` (text of pictures, in `reading_order`).
"""
