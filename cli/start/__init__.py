"""Start the parts: all of them here (`up`), or one by one (`serve`)."""
