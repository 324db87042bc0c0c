"""What all features of the API share."""
