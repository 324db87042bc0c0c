"""Jobs: submit, wait for, follow, cancel and delete them."""
