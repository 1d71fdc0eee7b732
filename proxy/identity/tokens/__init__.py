"""What a bearer token is, piece by piece: its JSON, its compact form, its claims, the issuers we know."""
