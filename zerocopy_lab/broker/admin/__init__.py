"""What clients and administrators ask besides records: topics, settings, the cluster."""
