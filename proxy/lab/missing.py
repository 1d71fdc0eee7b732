"""What the lab raises when a real component cannot be had."""


class Missing(Exception):
    """A component cannot be had on this machine; the text says why and what the choices are."""
