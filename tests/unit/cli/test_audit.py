from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxy.cli.audit import command
from proxy.sinks.chain import Chain, digest


def written(path: Path, count: int = 5) -> list[bytes]:
    chain = Chain()
    lines = [chain.link({"event": "n", "number": number}) for number in range(count)]
    path.write_bytes(b"".join(lines))
    return lines


def verified(*arguments: object) -> Result:
    return CliRunner().invoke(command, ["verify", *map(str, arguments)])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def test_a_whole_chain_is_confirmed_with_its_head(log: Path) -> None:
    lines = written(log)
    result = verified(log)

    assert result.exit_code == 0
    assert result.output == f"records 1 to 5: the chain is whole\nhead {digest(lines[-1])}\n"


def test_an_edited_line_is_named(log: Path) -> None:
    lines = written(log)
    log.write_bytes(b"".join(lines).replace(b'"number":1', b'"number":7'))
    result = verified(log)

    assert result.exit_code == 1
    assert result.output.startswith(f"kilngate: {log}:2: record 2 was changed")


def test_a_deleted_line_is_named(log: Path) -> None:
    lines = written(log)
    log.write_bytes(b"".join(lines[:2] + lines[3:]))
    result = verified(log)

    assert result.exit_code == 1
    assert f"{log}:3: record 4 follows record 2" in result.output


def test_lines_in_another_order_are_named(log: Path) -> None:
    lines = written(log)
    log.write_bytes(b"".join([lines[0], lines[2], lines[1], *lines[3:]]))
    result = verified(log)

    assert result.exit_code == 1
    assert f"{log}:2: " in result.output


def test_a_cut_tail_is_found_with_the_head(log: Path) -> None:
    lines = written(log)
    head = digest(lines[-1])
    log.write_bytes(b"".join(lines[:-1]))

    assert verified(log).exit_code == 0
    result = verified(log, "--head", head.upper())
    assert result.exit_code == 1
    assert "cut off" in result.output


def test_rotated_files_are_one_chain_in_their_order(tmp_path: Path) -> None:
    old, new = tmp_path / "audit.log.1", tmp_path / "audit.log"
    lines = written(new)
    old.write_bytes(b"".join(lines[:3]))
    new.write_bytes(b"".join(lines[3:]))

    assert verified(old, new).output.startswith("records 1 to 5")
    assert verified(new).output.startswith("records 4 to 5")
    wrong = verified(new, old)
    assert wrong.exit_code == 1
    assert f"{old}:1: " in wrong.output


def test_a_fault_is_named_in_the_file_where_it_is(tmp_path: Path) -> None:
    old, new = tmp_path / "audit.log.1", tmp_path / "audit.log"
    lines = written(new)
    old.write_bytes(b"".join(lines[:3]))
    new.write_bytes(lines[3] + b"junk\n" + lines[4])

    assert f"{new}:2: not a complete record" in verified(old, new).output


def test_an_empty_file_proves_nothing(log: Path) -> None:
    log.touch()
    result = verified(log)

    assert result.exit_code == 1
    assert "no records" in result.output


def test_a_file_that_is_not_there_is_a_wrong_usage(log: Path) -> None:
    assert verified(log).exit_code == 2
