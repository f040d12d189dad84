"""Output: labs run where nobody watches, looked at closely, and told in one report."""
