"""How much a tenant may do at once. Pure: time is an argument."""
