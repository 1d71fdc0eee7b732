"""Laws are tried without a stopwatch: how long an example takes depends on the machine."""

from hypothesis import settings

settings.register_profile("kilngate", deadline=None)
settings.load_profile("kilngate")
