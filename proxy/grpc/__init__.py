"""gRPC over HTTP/2: heads, messages, statuses, deadlines. Pure.

Source: the gRPC project's PROTOCOL-HTTP2.md.
"""
