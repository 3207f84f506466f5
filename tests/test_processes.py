"""Collectors in several processes share a store."""

from tests.proofs import processes


def test_two_processes_ask_for_each_task_and_store_it_exactly_once(capsys):
    assert processes.main(["--tasks", "60", "--processes", "2"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("2 processes: 60 requests for 60 tasks in ")
    assert told.endswith("each exactly once\n")
