"""Who calls: certificate or token, proven and mapped to a tenant and a role.

credentials    what was shown
methods/       one file a way to prove an identity: mtls, jwt
rules          attributes of a proven identity -> tenant and role
keyset         the keys of token issuers, filled by the edge
authenticator  all methods as one verdict
"""
