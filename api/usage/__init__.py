"""Activity, analytics and single generations."""
