"""Start Waybill: all of it here (`up`), or its parts one by one (`parts`)."""
