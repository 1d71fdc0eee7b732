"""Which build daemon a tenant's calls go to. Pure: names, addresses and commands, no process and no socket."""
