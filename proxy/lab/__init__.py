"""Real components for the demo and the tests: an engine, a client, an issuer, on this machine.

    packages.py   Debian packages, unpacked and never installed
    child.py      processes that we start, and end with all they started
    sockets.py    free ports, socket paths that are short enough, who answers HTTP/2
    engine.py     find a BuildKit, or start one
    dockerd.py    the two daemons that can be started
    client.py     stock `docker buildx` of a chosen version
    context.py    build contexts that need no registry
    issuer.py     a token issuer: OIDC discovery, keys, tokens
    tokendoor.py  adds a token to the calls of a client that cannot carry one

Nothing here runs in production, and nothing here is imported by the door itself.
"""
