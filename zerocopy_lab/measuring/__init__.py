"""Judgement: contestants take turns, under checked conditions, and a comparison is rarely wrong."""
