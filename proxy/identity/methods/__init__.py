"""Every way to prove an identity: a new one is a file here, a name in `MethodConfig` and one in the settings schema."""

from proxy.identity.methods import jwt, mtls

MethodConfig = jwt.Config | mtls.Config
