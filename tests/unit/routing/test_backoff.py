from proxy.routing.backoff import LONGEST_NS, Backoff

SECOND = 1_000_000_000


def waits(failures: int) -> list[int]:
    backoff = Backoff()
    found = []
    for _ in range(failures):
        backoff.failed(7)
        found.append(backoff.wait_ns(7))
    return found


def test_the_second_attempt_is_made_at_once_and_later_ones_wait_longer_and_longer() -> None:
    assert waits(5) == [0, SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND]


def test_nothing_waits_longer_than_a_minute() -> None:
    assert waits(100)[-1] == LONGEST_NS == 60 * SECOND


def test_the_wait_passes() -> None:
    backoff = Backoff()
    backoff.failed(0)
    backoff.failed(0)

    assert [backoff.wait_ns(now_ns) for now_ns in (0, SECOND - 1, SECOND, 9 * SECOND)] == [SECOND, 1, 0, 0]
