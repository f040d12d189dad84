"""Who is there: SASL on listeners that want to know."""
