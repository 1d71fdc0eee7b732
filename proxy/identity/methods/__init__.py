"""Every way to prove an identity: a new one is a file here and a name in `MethodConfig`."""

from proxy.identity.methods import jwt

MethodConfig = jwt.Config
