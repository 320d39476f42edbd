"""What limits cost: in a tight loop, with many threads, on a chat call, and in memory.

    python benchmarks/limits.py [--rounds 60] [--traces 1000000]

Chat calls, whole and streamed, are measured as in overhead.py: in random order within a round, calls without us,
calls that are counted, and calls that are held to five limits as well. The ratio of what the last two add is what to
compare.
"""

from __future__ import annotations

import argparse
import gc
import logging
import random
import statistics
import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import psutil
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from overhead import BLOCK, Calls, providers

from tracetoll import Instrumentor, Limit
from tracetoll.ledgers.memory import MemoryLedger
from tracetoll.ledgers.protocol import Granted, Line, Output, Rule
from tracetoll.limits.rules import ruled
from tracetoll.limits.windows import Calendar, Rolling

if TYPE_CHECKING:
    from collections.abc import Callable

LIMITS = [
    Limit(10**12, "tokens", per="trace"),
    Limit(10**6, "usd", per="trace"),
    Limit(10**12, "tokens", per="process", window="day"),
    Limit(10**12, "tokens", per="gen_ai.request.model", window="1m"),
    Limit(10**12, "calls", per="process"),
]
RULES = [
    Rule("a", 10**15, passing=True),
    Rule("b", 10**15, passing=True),
    Rule("c", 10**15, Calendar("day")),
    Rule("d", 10**15, Rolling(60.0)),
    Rule("e", 10**15),
]
THREADS = 64
ANSWERS_LEARNED = 300
"""So many calls come first: of the first 256 of a model each is learned from, which takes a little longer."""
SPENT = [300] * len(RULES)


SUBJECTS = [[Line(rule, f"{rule.key}:{number}", 100, 2) for rule in RULES] for number in range(50)]
"""What calls of fifty subjects ask of a ledger. That is made by their claims, and part of what a chat call is measured
with."""
OUTPUT = Output(500, 16, 16)


def once(ledger: MemoryLedger, number: int) -> None:
    """Reserve five lines, and settle them."""
    found = ledger.reserve(SUBJECTS[number % len(SUBJECTS)], OUTPUT, 900.0)
    assert isinstance(found, Granted)
    ledger.settle(found.id, SPENT)


def tight_loop() -> float:
    """Return the median microseconds of reserve and settle for five limits."""
    ledger = MemoryLedger()
    times = []
    for _ in range(300):
        begun = time.perf_counter_ns()
        for number in range(100):
            once(ledger, number)
        times.append((time.perf_counter_ns() - begun) / 100 / 1e3)
    return statistics.median(times)


def contended() -> tuple[float, float]:
    """Return microseconds per reserve and settle with 64 threads: of the wall clock, and the median in its thread."""
    ledger = MemoryLedger()
    times: list[float] = []

    def work() -> None:
        own = []
        for number in range(2000):
            begun = time.perf_counter_ns()
            once(ledger, number)
            own.append((time.perf_counter_ns() - begun) / 1e3)
        times.extend(own)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    begun = time.perf_counter_ns()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.perf_counter_ns() - begun) / len(times) / 1e3, statistics.median(times)


def added(run: Callable[[int], None], calls: int, rounds: int) -> tuple[float, float]:
    """Return what counting adds to a call, and what counting with five limits does, in microseconds of CPU."""
    instrumentor = Instrumentor()
    engine, patches = instrumentor.engine, instrumentor.patches
    assert engine is not None
    assert patches is not None
    rules = ruled(LIMITS)

    def block(*, on: bool, limited: bool) -> float:
        patches.switch.on = on
        engine.admission.claims.use(rules if limited else ())
        run(1)
        begun = time.process_time_ns()
        run(calls)
        return (time.process_time_ns() - begun) / calls / 1e3

    jobs: dict[str, Callable[[], float]] = {
        "base": lambda: block(on=False, limited=False),
        "counted": lambda: block(on=True, limited=False),
        "limited": lambda: block(on=True, limited=True),
    }
    engine.admission.claims.use(rules)
    run(ANSWERS_LEARNED)
    for _ in range(3):  # the price list is loaded
        for job in jobs.values():
            job()
    gc.collect()
    gc.freeze()
    found: dict[str, list[float]] = {"counted": [], "limited": []}
    for _ in range(rounds):
        times = {name: jobs[name]() for name in random.sample(list(jobs), len(jobs))}
        for name, values in found.items():
            values.append(times[name] - times["base"])
    patches.switch.on = True
    return statistics.median(found["counted"]), statistics.median(found["limited"])


def memory(traces: int) -> None:
    """Print what stays of accounts of so many traces."""
    ledger = MemoryLedger()
    process = psutil.Process()
    for number in range(traces + 1):
        if number % (traces // 10) == 0:
            gc.collect()
            accounts = sum(1 for _ in ledger.balances())
            print(f"{number:>9,} traces: {accounts:>7,} accounts, {process.memory_info().rss / 2**20:.1f} MiB")
        lines = [Line(rule, f"{rule.key}:trace:{number:032x}", 100, 2) for rule in RULES[:2]]
        found = ledger.reserve(lines, Output(500, 16, 16), 900.0)
        assert isinstance(found, Granted)
        ledger.settle(found.id, SPENT[:2])


def main() -> None:
    """Measure everything, and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--traces", type=int, default=1_000_000)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    print(f"reserve and settle, five limits, tight loop: {tight_loop():.1f} us")
    wall, median = contended()
    print(f"the same under {THREADS} threads: {wall:.1f} us of wall clock each, median in its thread {median:.1f} us")
    calls = Calls()
    for name, run, number, sampler, traced in (
        ("chat call", calls.chat, BLOCK, ALWAYS_ON, True),
        ("chat call, not sampled", calls.chat, BLOCK, ALWAYS_OFF, True),
        ("chat call outside of any trace", calls.chat, BLOCK, ALWAYS_ON, False),
        ("streamed chat call, 20 chunks", calls.stream(20), BLOCK // 2, ALWAYS_ON, True),
        ("streamed chat call, 200 chunks", calls.stream(200), BLOCK // 5, ALWAYS_ON, True),
    ):
        tracer_provider, meter_provider = providers(sampler)
        Instrumentor().instrument(tracer_provider=tracer_provider, meter_provider=meter_provider)
        task = tracer_provider.get_tracer("benchmark").start_as_current_span("task")
        with task if traced else nullcontext():
            counted, limited = added(run, number, arguments.rounds)
        Instrumentor().uninstrument()
        print(f"{name}: {counted:.0f} us added, {limited:.0f} us with five limits: ratio {limited / counted:.2f}")
    memory(arguments.traces)


if __name__ == "__main__":
    main()
