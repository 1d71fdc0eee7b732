"""`python -m proxy`, for those who cannot find the command `kilngate`."""

from proxy.cli import main

main(prog_name="kilngate")
