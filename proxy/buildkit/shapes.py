"""The fields of every message that is read as a whole, as BuildKit v0.32 has them.

A field that is not here came with a later version: what it asks for cannot be judged,
so who reads with these tables refuses it unless told otherwise. Only what may be read
or changed is followed further down; the rest (a platform, a file operation) is known
by its number and passes.

Source: moby/buildkit api/services/control/control.proto, frontend/gateway/pb/gateway.proto,
solver/pb/ops.proto, sourcepolicy/pb/policy.proto. No field was ever taken away or used
anew since v0.11, so what older clients send is here too. Before that LLBBridge's
SolveRequest had a field 4, which clients sent only to daemons older than v0.4.
"""

from typing import Final

from proxy.buildkit.wire import Shape, Shapes

# --- api/services/control/control.proto -----------------------------------------------------

CONTROL_SOLVE: Final[Shapes] = {
    1: Shape.TEXT,  # Ref
    2: Shape.MESSAGE,  # Definition
    3: Shape.TEXT,  # ExporterDeprecated
    4: Shape.MESSAGES,  # ExporterAttrsDeprecated
    5: Shape.TEXT,  # Session
    6: Shape.TEXT,  # Frontend
    7: Shape.MESSAGES,  # FrontendAttrs
    8: Shape.MESSAGE,  # Cache
    9: Shape.TEXTS,  # Entitlements
    10: Shape.MESSAGES,  # FrontendInputs
    11: Shape.FLAG,  # Internal
    12: Shape.MESSAGE,  # SourcePolicy
    13: Shape.MESSAGES,  # Exporters
    14: Shape.FLAG,  # EnableSessionExporter
    15: Shape.TEXT,  # SourcePolicySession
    16: Shape.NUMBER,  # CompatibilityVersion
    17: Shape.FLAG,  # ProxyNetwork
}
CACHE_OPTIONS: Final[Shapes] = {
    1: Shape.TEXT,  # ExportRefDeprecated
    2: Shape.TEXTS,  # ImportRefsDeprecated
    3: Shape.MESSAGES,  # ExportAttrsDeprecated
    4: Shape.MESSAGES,  # Exports
    5: Shape.MESSAGES,  # Imports
}
TYPED: Final[Shapes] = {1: Shape.TEXT, 2: Shape.MESSAGES}  # Exporter, CacheOptionsEntry: Type, Attrs
STATUS_REQUEST: Final[Shapes] = {1: Shape.TEXT}  # Ref

# --- frontend/gateway/pb/gateway.proto ------------------------------------------------------

BRIDGE_SOLVE: Final[Shapes] = {
    1: Shape.MESSAGE,  # Definition
    2: Shape.TEXT,  # Frontend
    3: Shape.MESSAGES,  # FrontendOpt
    5: Shape.FLAG,  # allowResultReturn
    6: Shape.FLAG,  # allowResultArrayRef
    10: Shape.FLAG,  # Final
    11: Shape.MESSAGE,  # ExporterAttr
    12: Shape.MESSAGES,  # CacheImports
    13: Shape.MESSAGES,  # FrontendInputs
    14: Shape.FLAG,  # Evaluate
    15: Shape.MESSAGES,  # SourcePolicies
}
RESOLVE_IMAGE_CONFIG: Final[Shapes] = {
    1: Shape.TEXT,  # Ref
    2: Shape.MESSAGE,  # Platform
    3: Shape.TEXT,  # ResolveMode
    4: Shape.TEXT,  # LogName
    5: Shape.NUMBER,  # ResolverType
    6: Shape.TEXT,  # SessionID
    7: Shape.TEXT,  # StoreID
    8: Shape.MESSAGES,  # SourcePolicies
}
RESOLVE_SOURCE_META: Final[Shapes] = {
    1: Shape.MESSAGE,  # Source
    2: Shape.MESSAGE,  # Platform
    3: Shape.TEXT,  # LogName
    4: Shape.TEXT,  # ResolveMode
    5: Shape.MESSAGE,  # Git
    6: Shape.MESSAGE,  # Image
    7: Shape.MESSAGE,  # HTTP
    8: Shape.MESSAGES,  # SourcePolicies
}
NEW_CONTAINER: Final[Shapes] = {
    1: Shape.TEXT,  # ContainerID
    2: Shape.MESSAGES,  # Mounts
    3: Shape.CHOICE,  # Network
    4: Shape.MESSAGE,  # platform
    5: Shape.MESSAGE,  # constraints
    6: Shape.MESSAGES,  # extraHosts
    7: Shape.TEXT,  # hostname
}

# --- solver/pb/ops.proto --------------------------------------------------------------------

DEFINITION: Final[Shapes] = {1: Shape.MESSAGES, 2: Shape.MESSAGES, 3: Shape.MESSAGE}  # def, metadata, Source
SOURCE_MAP: Final[Shapes] = {1: Shape.MESSAGES, 2: Shape.MESSAGES}  # locations, infos
OP: Final[Shapes] = {
    1: Shape.MESSAGES,  # inputs
    2: Shape.MESSAGE,  # exec
    3: Shape.MESSAGE,  # source
    4: Shape.MESSAGE,  # file
    5: Shape.MESSAGE,  # build
    6: Shape.MESSAGE,  # merge
    7: Shape.MESSAGE,  # diff
    8: Shape.MESSAGE,  # passthrough
    10: Shape.MESSAGE,  # platform
    11: Shape.MESSAGE,  # constraints
}
INPUT: Final[Shapes] = {1: Shape.TEXT, 2: Shape.NUMBER}  # digest, index
SOURCE_OP: Final[Shapes] = {1: Shape.TEXT, 2: Shape.MESSAGES}  # identifier, attrs
EXEC_OP: Final[Shapes] = {
    1: Shape.MESSAGE,  # meta
    2: Shape.MESSAGES,  # mounts
    3: Shape.CHOICE,  # network
    4: Shape.CHOICE,  # security
    5: Shape.MESSAGES,  # secretenv
    6: Shape.MESSAGES,  # cdiDevices
}
# Older daemons and clients take texts that are not UTF-8. Where nobody judges a text it is octets here.
META: Final[Shapes] = {
    1: Shape.MESSAGES,  # args
    2: Shape.MESSAGES,  # env
    3: Shape.MESSAGE,  # cwd
    4: Shape.MESSAGE,  # user
    5: Shape.MESSAGE,  # proxy_env
    6: Shape.MESSAGES,  # extraHosts
    7: Shape.TEXT,  # hostname
    9: Shape.MESSAGES,  # ulimit
    10: Shape.TEXT,  # cgroupParent
    11: Shape.FLAG,  # removeMountStubsRecursive
    12: Shape.UNREAD,  # validExitCodes
}
MOUNT: Final[Shapes] = {
    1: Shape.NUMBER,  # input
    2: Shape.MESSAGE,  # selector
    3: Shape.MESSAGE,  # dest
    4: Shape.NUMBER,  # output
    5: Shape.FLAG,  # readonly
    6: Shape.CHOICE,  # mountType
    19: Shape.MESSAGE,  # TmpfsOpt
    20: Shape.MESSAGE,  # cacheOpt
    21: Shape.MESSAGE,  # secretOpt
    22: Shape.MESSAGE,  # SSHOpt
    23: Shape.MESSAGE,  # resultID
    24: Shape.CHOICE,  # contentCache
}
CACHE_OPT: Final[Shapes] = {1: Shape.TEXT, 2: Shape.CHOICE}  # ID, sharing
CDI_DEVICE: Final[Shapes] = {1: Shape.TEXT, 2: Shape.FLAG}  # name, optional

# --- sourcepolicy/pb/policy.proto -----------------------------------------------------------

SOURCE_POLICY: Final[Shapes] = {1: Shape.NUMBER, 2: Shape.MESSAGES}  # version, rules
POLICY_RULE: Final[Shapes] = {1: Shape.CHOICE, 2: Shape.MESSAGE, 3: Shape.MESSAGE}  # action, selector, updates
POLICY_UPDATE: Final[Shapes] = {1: Shape.TEXT, 2: Shape.MESSAGES}  # identifier, attrs
