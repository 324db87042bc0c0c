"""Background loops of a worker or dispatcher process."""
