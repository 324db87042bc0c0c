"""Request bodies: validation, parameters, plugins, sizes and token estimates."""
