from datetime import UTC, datetime

from benchwire.agent.code.module import Before, before
from benchwire.agent.task import Task, evolve
from benchwire.events.event import Event
from benchwire.events.task import NodeFailed, NodeGenerated, NodeRetried, NodeTested

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FILES = {"a.py": "A = 1\n", "test_a.py": "from a import A\n"}


def generated(iteration: int) -> NodeGenerated:
    return NodeGenerated(timestamp=NOW, task_id="t", node_id="a.py", iteration=iteration, sources=FILES)


def measured(iteration: int) -> NodeTested:
    return NodeTested(
        timestamp=NOW, task_id="t", node_id="a.py", iteration=iteration, ok=False, outcome="failed", tests_passed=2, tests_failed=1
    )  # fmt: skip


def retried(iteration: int, stage: str = "test") -> NodeRetried:
    return NodeRetried(timestamp=NOW, task_id="t", node_id="a.py", iteration=iteration, stage=stage, feedback="no")


def left(*events: Event) -> Before:
    task = Task()
    for one in events:
        task = evolve(task, one)
    return before(task, "a.py")


def test_nothing_is_left_of_a_module_that_was_not_begun() -> None:
    assert left() == Before()


def test_what_was_not_good_enough_is_gone_on_with() -> None:
    assert left(generated(1), measured(1), retried(1)) == Before(iterations=1, sources=FILES, feedback="no", tests=3)


def test_an_answer_without_files_counts_as_a_try() -> None:
    assert left(retried(1, "generate")) == Before(iterations=1, feedback="no")
    assert left(generated(1), measured(1), retried(1), retried(2, "generate")).iterations == 2


def test_sources_that_nobody_has_judged_yet_are_tried() -> None:
    assert left(generated(1), measured(1), retried(1), generated(2)) == Before(
        iterations=1, sources=FILES, untried=True, tests=3
    )


def test_a_module_that_failed_begins_anew() -> None:
    failed = NodeFailed(timestamp=NOW, task_id="t", node_id="a.py", reason="no", iterations=1)
    assert left(generated(1), measured(1), failed) == Before()
