"""One module a resource; a route validates, makes one call, and shapes the answer."""
