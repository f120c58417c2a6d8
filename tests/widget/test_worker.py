"""The worker: newest wins, cancel is heard, one failing job harms nobody, the thread ends, the model is let
go."""

from __future__ import annotations

import contextvars
import gc
import logging
import subprocess
import sys
import threading
import time
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legrad_widget.widget.worker import Cancelled, Ticket, Worker, inline, worker_of


def until(condition, timeout=5.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.002)


class Gate:
    """A job that reports its start and then computes in steps until it is let through, or cancelled."""

    def __init__(self):
        self.started, self.go, self.ended = threading.Event(), threading.Event(), None

    def __call__(self, ticket: Ticket) -> None:
        self.started.set()
        try:
            while not self.go.wait(0.002):
                ticket.check()
        except Cancelled:
            self.ended = "cancelled"
            raise
        self.ended = "done"


@pytest.fixture
def worker():
    worker = Worker(linger=0.2)
    yield worker
    for seat in list(worker._seats):
        seat.close()
    until(lambda: not worker.alive)


def test_runs_on_its_own_daemon_thread(worker):
    seen = []
    worker.seat().submit(lambda _: seen.append(threading.current_thread()))
    until(lambda: seen)
    assert seen[0] is not threading.current_thread()
    assert seen[0].daemon


def test_a_burst_runs_the_first_and_the_last_only(worker):
    seat, first, ran = worker.seat(), Gate(), []
    seat.submit(first)
    assert first.started.wait(5)
    for n in range(20):
        seat.submit(lambda _, n=n: ran.append(n))
    until(lambda: ran)
    assert first.ended == "cancelled"
    assert ran == [19]


def test_cancel_stops_the_running_job_and_drops_the_waiting_one(worker):
    seat, other, running, ran = worker.seat(), worker.seat(), Gate(), []
    other.submit(running)
    assert running.started.wait(5)
    seat.submit(lambda _: ran.append("never"))
    assert seat.cancel()
    assert not seat.cancel()
    assert other.cancel()
    until(lambda: running.ended)
    assert running.ended == "cancelled"
    other.submit(lambda _: ran.append("next"))
    until(lambda: ran)
    assert ran == ["next"]


def test_seats_do_not_cancel_each_other_and_are_served_in_order(worker):
    a, b, c = worker.seat(), worker.seat(), worker.seat()
    gate, ran = Gate(), []
    a.submit(gate)
    assert gate.started.wait(5)
    b.submit(lambda _: ran.append("b"))
    c.submit(lambda _: ran.append("c"))
    b.submit(lambda _: ran.append("b again"))
    gate.go.set()
    until(lambda: len(ran) == 2)
    assert gate.ended == "done"
    assert ran == ["c", "b again"]


@pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(3), MemoryError()])
def test_a_failing_job_is_logged_and_the_next_one_runs(worker, caplog, error):
    def fail(ticket):
        raise error

    seat, ran = worker.seat(), []
    with caplog.at_level(logging.ERROR):
        seat.submit(fail)
        until(lambda: caplog.records)
        seat.submit(lambda _: ran.append(1))
        until(lambda: ran)
    assert type(error).__name__ in caplog.text


def test_the_job_runs_in_the_context_of_the_handler_that_asked(worker):
    parent = contextvars.ContextVar("parent")
    parent.set("the request")
    seen = []
    seat = worker.seat()
    seat.submit(lambda _: seen.append(parent.get()))
    until(lambda: seen)
    other = contextvars.copy_context()
    other.run(parent.set, "another")
    seat.submit(lambda _: seen.append(parent.get()), other)
    until(lambda: len(seen) == 2)
    assert seen == ["the request", "another"]


def test_the_thread_ends_when_unused_and_comes_back(worker):
    seat, idents = worker.seat(), []
    seat.submit(lambda _: idents.append(threading.current_thread()))
    until(lambda: idents)
    assert worker.alive
    until(lambda: not worker.alive)
    idents[0].join(5)
    assert not idents[0].is_alive()
    seat.submit(lambda _: idents.append(threading.current_thread()))
    until(lambda: len(idents) == 2)


def test_closing_the_last_seat_ends_the_thread_at_once():
    worker = Worker(linger=60)
    a, b, seen = worker.seat(), worker.seat(), []
    a.submit(lambda _: seen.append(threading.current_thread()))
    until(lambda: seen)
    a.close()
    time.sleep(0.05)
    assert worker.alive  # b may still ask
    b.close()
    seen[0].join(5)
    assert not worker.alive
    assert not b.submit(lambda _: seen.append("after close"))
    time.sleep(0.02)
    assert len(seen) == 1


def test_a_closed_seat_cancels_its_running_job():
    worker, gate = Worker(), Gate()
    seat = worker.seat()
    seat.submit(gate)
    assert gate.started.wait(5)
    seat.close()
    until(lambda: gate.ended)
    assert gate.ended == "cancelled"


def test_a_script_that_ends_while_a_widget_computes_ends_well():
    script = """
import threading, torch
from legrad_widget.widget.worker import Worker
begun = threading.Event()
def job(ticket):
    while True:
        torch.rand(64, 64) @ torch.rand(64, 64)
        begun.set()
        ticket.check()
Worker().seat().submit(job)
begun.wait()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_end_is_waited_for_only_so_long():
    worker, gate = Worker(), threading.Event()
    seat = worker.seat()
    seat.submit(lambda _: gate.wait(20))
    began = time.monotonic()
    worker.end(0.05)
    assert time.monotonic() - began < 10
    assert worker.alive
    assert not seat.submit(lambda _: None)
    gate.set()
    worker.end(5)
    assert not worker.alive


def test_the_worker_knows_its_own_thread(worker):
    seat, seen = worker.seat(), []
    seat.submit(lambda _: seen.append(seat.is_mine))
    until(lambda: seen)
    assert seen == [True]
    assert not seat.is_mine


def test_one_worker_per_model_and_neither_thread_nor_registry_keeps_the_model():
    class Model:
        pass

    model, other = Model(), Model()
    worker = worker_of(model)
    assert worker_of(model) is worker
    assert worker_of(other) is not worker
    seat, done = worker.seat(), threading.Event()

    def job(ticket, model=model):
        done.set()

    seat.submit(job)
    assert done.wait(5)
    gone = weakref.ref(model)
    del model, job
    until(lambda: gc.collect() is not None and gone() is None)
    assert worker.alive  # it lingers, without the model
    seat.close()
    until(lambda: not worker.alive)


def test_inline_runs_before_submit_returns_and_a_job_may_ask_for_more():
    worker = Worker(start=inline)
    seat, ran = worker.seat(), []

    def job(ticket):
        ran.append("outer")
        seat.submit(lambda _: ran.append("inner"))
        ran.append(ticket.wanted)

    seat.submit(job)
    assert ran == ["outer", False, "inner"]
    assert not worker.alive
    seat.submit(lambda _: ran.append("again"))
    assert ran[-1] == "again"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["submit", "submit", "cancel", "yield"])),
        max_size=40,
    )
)
def test_whatever_the_order_each_seat_ends_with_its_last_word(steps):
    """After any history, the last job of every seat that was not cancelled has run to its end, exactly
    once."""
    worker = Worker(linger=5)
    seats = {name: worker.seat() for name in "abc"}
    last: dict[str, int | None] = dict.fromkeys("abc")
    done: list[int] = []
    for n, (name, verb) in enumerate(steps):
        if verb == "submit":

            def job(ticket, n=n):
                for _ in range(3):
                    ticket.check()
                done.append(n)

            seats[name].submit(job)
            last[name] = n
        elif verb == "cancel":
            seats[name].cancel()
            last[name] = None
        else:
            time.sleep(0.0005)
    wanted = {n for n in last.values() if n is not None}
    until(lambda: wanted <= set(done))
    assert len(done) == len(set(done))
    for seat in seats.values():
        seat.close()
    until(lambda: not worker.alive)
