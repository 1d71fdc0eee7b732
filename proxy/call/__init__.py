"""The life of a call: who may make it, what it belongs to, how it ends. Pure: no socket, no clock."""
