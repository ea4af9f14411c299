"""Whether the recorded decisions were the same when they were decided again."""

from pathlib import Path

from demo import recording
from demo.programs import Done


def judged(code: int, said: str, complaint: str = "") -> tuple[int, int, str]:
    found = recording.judge(Done(code, said, complaint), size=10, seconds=1.0)
    return found.decisions, found.differing, found.said


def test_same_plans_are_counted() -> None:
    assert judged(0, "3,120 decisions, 0 differ\n") == (3120, 0, "3,120 decisions, 0 differ")


def test_plan_that_differs_is_counted_and_shown() -> None:
    said = "line 7: flights/flights: plan.because was 'a', now 'b'\n3,120 decisions, 1 differ\n"

    assert judged(1, said) == (3120, 1, said.strip())


def test_command_that_broke_proves_nothing() -> None:
    assert judged(1, "", "ModuleNotFoundError") == (0, 0, "`modelmend replay` failed: ModuleNotFoundError")


def test_exit_code_that_contradicts_the_words_counts_as_a_difference() -> None:
    assert judged(2, "5 decisions, 0 differ") == (5, 1, "it ended with code 2")


def test_tape_without_a_decision_is_no_decision_decided_again(tmp_path: Path) -> None:
    tape = tmp_path / "decisions.jsonl"
    tape.touch()

    assert recording.decide_again(tape).decisions == 0
