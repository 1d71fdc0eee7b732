"""Laws are tried without a stopwatch: how long an example takes depends on the machine.

On a developer's machine every run tries other examples; in CI the same ones, so that a
change is judged and not the draw.
"""

import os

from hypothesis import settings

settings.register_profile("kilngate", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("kilngate")
