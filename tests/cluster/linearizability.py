"""Whether a history of reads and writes of registers is one that a single copy could have given.

Every value is written once, which makes the question easy (Gibbons and Korach, 1997): the operations on one value, its
write and the reads that returned it, form a zone, from the earliest end of one of them to the latest start. Where the end
comes first, the value was there at every moment in between: such zones do not overlap, and none holds a zone of the other
kind whole. And no read ends before the write of what it returned begins.
"""

import math
from collections import defaultdict
from dataclasses import dataclass

INITIAL = None


@dataclass
class Operation:
    """One call. `end` is infinite for a write of which nobody knows whether it took effect."""

    kind: str  # "read" or "write"
    key: str
    value: str
    start: float
    end: float


def violations(history):
    """What is wrong with it, as lines of text; none when it is linearizable."""
    by_key = defaultdict(list)
    for operation in history:
        by_key[operation.key].append(operation)
    found = []
    for key, operations in sorted(by_key.items()):
        found += [f"{key}: {problem}" for problem in _violations_of_one(operations)]
    return found


def _violations_of_one(operations):
    writes = {INITIAL: Operation("write", "", INITIAL, -math.inf, -math.inf)}
    for operation in operations:
        if operation.kind == "write":
            if operation.value in writes:
                raise ValueError(f"{operation.value} is written twice")
            writes[operation.value] = operation
    reads = defaultdict(list)
    for operation in operations:
        if operation.kind == "read":
            reads[operation.value].append(operation)

    problems = []
    forward, backward = [], []
    for value, write in writes.items():
        if not reads[value] and write.end == math.inf:
            continue  # perhaps it never was
        for read in reads[value]:
            if read.end < write.start:
                problems.append(f"{value} was read until {read.end:.3f}, before it was written at {write.start:.3f}")
        together = [write, *reads[value]]
        first_end = min(one.end for one in together)
        last_start = max(one.start for one in together)
        (forward if first_end < last_start else backward).append(
            (min(first_end, last_start), max(first_end, last_start), value))
    problems += [f"{value} was read, which nobody wrote" for value in reads if value not in writes]

    forward.sort(key=lambda zone: zone[:2])
    for (_, end, value), (start, _, later) in zip(forward, forward[1:]):
        if start < end:
            problems.append(f"{value} was there until {end:.3f}, but {later} from {start:.3f} on")
    for start, end, value in backward:
        for first, last, held in forward:
            if first < start and end < last:
                problems.append(f"{value} was there between {start:.3f} and {end:.3f}, while {held} was from "
                                f"{first:.3f} to {last:.3f}")
    return problems
