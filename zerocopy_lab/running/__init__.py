"""Brokers as processes, ours or others': scratch directories, topics, real events."""
