"""The store as commands use it: the file that the settings name, beside a kilngate that may be running."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from proxy.cli.exits import CONFIG, FAILED, Stop
from proxy.settings.parse import parse
from proxy.store.interface import Store, StoreAway
from proxy.store.sqlite import SqliteStore

Answer = TypeVar("Answer")


def ask_store(config: str, ask: Callable[[Store], Awaitable[Answer]]) -> Answer:
    """Return what `ask` learns of the store that the settings file names.

    Raises:
        SettingsErrors: the settings cannot be read.
        Stop: they name no store, or it cannot be used.
    """
    try:
        file = parse(Path(config).read_bytes(), file=config).store.file
    except OSError as error:
        raise Stop(f"{config}: {error.strerror}", CONFIG) from None
    if file is None:
        raise Stop(f"{config} has no store.file: what this farm issues is known to its process alone", CONFIG)
    try:
        return asyncio.run(_asked(SqliteStore(Path(file), is_new=False), ask))
    except StoreAway as away:
        raise Stop(f"{away}\nkilngate serve makes the store at its first start", FAILED) from None


async def _asked(store: Store, ask: Callable[[Store], Awaitable[Answer]]) -> Answer:
    try:
        await store.open()
        return await ask(store)
    finally:
        await store.close()
