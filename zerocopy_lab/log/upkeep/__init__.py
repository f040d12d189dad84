"""What happens behind the requests' back: retention, compaction, flushing."""
