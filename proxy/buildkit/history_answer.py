"""What a tenant reads of the history of builds: the records of its own, with its own names.

A daemon tells of everybody's builds in one stream: of those that run and of what happens
while one listens it does so whatever filter was asked for. An event whose record is not
the tenant's own is dropped. What kilngate changed in a request stands in the daemon's
record, too, and is changed back; what is not changed keeps its octets, unknown fields
too. Nothing is kept.

Source: moby/buildkit api/services/control/control.proto (BuildHistoryEvent and what it
holds); solver/llbsolver/history/buildhistory.go, `Listen`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from proxy.buildkit.content import Blob, Readable
from proxy.buildkit.draft import Draft
from proxy.buildkit.named_text import client_status
from proxy.buildkit.namespace import Namespace
from proxy.buildkit.naming import LOCAL_SESSION_PREFIX
from proxy.buildkit.wire import Message, Shape, Shapes, WireError
from proxy.errors import Refused
from proxy.reasons import Reason

Attrs = dict[str, str]
Octets = bytes | memoryview

_REF, _ATTRS, _ERROR = 1, 3, 5
_LOGS, _RESULT, _RESULTS, _TRACE, _EXTERNAL_ERROR = 8, 10, 11, 13, 18
_EVENT: Final[Shapes] = {1: Shape.NUMBER, 2: Shape.MESSAGE}
_RECORD: Final[Shapes] = {
    _REF: Shape.TEXT,
    _ATTRS: Shape.MESSAGES,  # FrontendAttrs
    _ERROR: Shape.MESSAGE,
    _LOGS: Shape.MESSAGE,
    _RESULT: Shape.MESSAGE,
    _RESULTS: Shape.MESSAGES,  # by platform
    _TRACE: Shape.MESSAGE,
    _EXTERNAL_ERROR: Shape.MESSAGE,
}
_RESULT_INFO: Final[Shapes] = {1: Shape.MESSAGE, 2: Shape.MESSAGES, 3: Shape.MESSAGES}
_DESCRIPTOR: Final[Shapes] = {1: Shape.TEXT, 2: Shape.TEXT, 3: Shape.NUMBER}
_ENTRY: Final[Shapes] = {2: Shape.MESSAGE}


class OwnHistory:
    """Makes of the daemon's events those that one tenant may see; opens what their records refer to.

    `restore_attrs` takes out of a frontend's attributes what kilngate put in. An operator
    sees other tenants' records as they are.
    """

    def __init__(
        self,
        names: Namespace,
        readable: Readable,
        *,
        restore_attrs: Callable[[Attrs], Attrs],
        is_operator: bool = False,
    ) -> None:
        self._names = names
        self._readable = readable
        self._restore_attrs = restore_attrs
        self._is_operator = is_operator

    def feed(self, message: bytes) -> Sequence[bytes]:
        """Return the event as the tenant sees it, or nothing.

        Raises:
            Refused: ANSWER_UNREADABLE.
        """
        try:
            return self._own_event(message)
        except WireError as error:
            raise Refused(Reason.ANSWER_UNREADABLE, method="Control/ListenBuildHistory", detail=str(error)) from None

    def finish(self) -> Sequence[bytes]:
        """Return nothing: each event was told at once."""
        return ()

    def _own_event(self, message: bytes) -> Sequence[bytes]:
        event = Draft(message, _EVENT, takes_unknown=True)
        record = Draft(b"".join(event.messages(2)), _RECORD, takes_unknown=True)
        name = record.text(_REF)
        ref = self._names.own_ref(name)
        if ref is None:
            return (message,) if self._is_operator else ()
        self._readable.open(blobs_of(record))
        record.set_text(_REF, ref)
        record.set_messages(_ERROR, [client_status(error, {name: ref}) for error in record.messages(_ERROR)])
        attrs = record.pairs(_ATTRS)
        restored = self._without_sessions(self._restore_attrs(dict(attrs)))
        if restored != attrs:
            record.set_pairs(_ATTRS, restored)
        event.set_messages(2, [record.encode()])
        return (bytes(event.encode()),)

    def _without_sessions(self, attrs: Attrs) -> Attrs:
        """A session has ended long since, and its name here is ours: nobody could make anything of it."""
        ours = self._names.prefix
        return {
            key: value
            for key, value in attrs.items()
            if not (key.startswith(LOCAL_SESSION_PREFIX) and value.startswith(ours))
        }


def blobs_of(record: Message) -> Iterator[Blob]:
    """Yield all that a build's record refers to.

    Raises:
        WireError: it cannot be read.
    """
    for number in (_LOGS, _TRACE, _EXTERNAL_ERROR):
        yield from map(_blob, record.messages(number))
    for octets in record.messages(_RESULT):
        yield from _blobs_of_result(octets)
    for entry in record.messages(_RESULTS):
        yield from _blobs_of_result(_value(entry))


def _blobs_of_result(octets: Octets) -> Iterator[Blob]:
    result = Message(octets, _RESULT_INFO)
    yield from map(_blob, result.messages(2))
    for exported in result.messages(1):
        yield _blob(exported, is_exported=True)
    for entry in result.messages(3):
        yield _blob(_value(entry), is_exported=True)


def _value(entry: memoryview) -> bytes:
    """Return the value of an entry of a map; a message that is not sent is empty."""
    return b"".join(Message(entry, _ENTRY).messages(2))


def _blob(octets: Octets, *, is_exported: bool = False) -> Blob:
    descriptor = Message(octets, _DESCRIPTOR)
    return Blob(descriptor.text(2), descriptor.text(1), descriptor.number(3), is_exported)
