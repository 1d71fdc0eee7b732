"""What BuildKit's RPCs are, and what the few that we read say. Pure.

Messages are read by field number on the wire (`wire`), never by generated code, so
fields of newer daemons pass untouched. `proto/kilngate.proto` writes down the fields
that we rely on; tests hold `wire` against it and the protobuf runtime.

Source: moby/buildkit api/services/control/control.proto, frontend/gateway/pb/gateway.proto.
"""
