"""Exams: what every part of a kind has to pass, ours and a learner's alike."""
