"""What must be remembered beyond one call, and by all replicas: one interface, and ways to keep it.

interface     what a store promises (`Store`)
memory        in this process; a restart forgets
sqlite        a file on this machine; a restart forgets nothing
"""
