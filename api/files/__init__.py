"""Files: upload, list, download and delete."""
