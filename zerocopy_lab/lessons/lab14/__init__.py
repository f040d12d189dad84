"""Lab 14, the verdict."""
