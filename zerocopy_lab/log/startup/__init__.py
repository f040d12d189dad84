"""Before the first request: what is on the disk, and how much of it counts."""
