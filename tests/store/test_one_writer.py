"""one_writer: of two processes at one index the second waits, and says so."""

import threading
from pathlib import Path

from mmx.core.reporter import SilentReporter
from mmx.store.one_writer import one_writer


def test_a_second_writer_waits_for_the_first_and_says_so(tmp_path: Path) -> None:
    order: list[str] = []
    waiting = threading.Event()

    class Listener(SilentReporter):
        def info(self, text: str) -> None:
            order.append(text)
            waiting.set()

    def second() -> None:
        with one_writer(tmp_path, Listener()):
            order.append("second")

    with one_writer(tmp_path, SilentReporter()):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(30)
        order.append("first")
    thread.join(30)

    assert [order[0].startswith("another mmx"), *order[1:]] == [True, "first", "second"]
