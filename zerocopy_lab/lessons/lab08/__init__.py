"""Lab 08, no transformation."""
