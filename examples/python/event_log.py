"""A log of events: by time, by source, and old ones deleted a range at a time.

event_log.py [DIRECTORY]
"""

from __future__ import annotations

import json
import random
import struct
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import zerodb

DAY = 86_400


def stamp(second: int, number: int = 0) -> bytes:
    """A key whose bytes sort as the time does."""
    return struct.pack(">QI", second, number)


class EventLog:
    """Events in the order of their times. `counted` makes their numbers cheap to know."""

    def __init__(self, path: str) -> None:
        self.env = zerodb.open(path)
        self.events = self.env.open_db("events", create=True, counted=True)
        self.sources = self.env.open_db("sources", create=True, dupsort=True)

    def add(self, events: list[tuple[int, str, dict[str, Any]]]) -> None:
        """Adds events: time, source and content. All of them or none."""
        with self.env.begin(write=True) as txn:
            for second, source, content in events:
                number = txn.count_range(stamp(second), stamp(second + 1), self.events)
                key = stamp(second, number)
                value = json.dumps({"source": source, **content}).encode()
                txn.put(key, value, db=self.events)
                txn.put(source.encode(), key, db=self.sources)

    def between(self, first: int, last: int) -> Iterator[tuple[int, Any]]:
        """The events from one time up to another."""
        with self.env.begin(self.events) as txn:
            for key, value in txn.items(start=stamp(first), stop=stamp(last)):
                yield struct.unpack(">QI", key)[0], json.loads(value)

    def of_source(self, source: str, since: int) -> list[Any]:
        """The events of a source since a time."""
        with self.env.begin() as txn, txn.cursor(self.sources) as cursor:
            if cursor.set_range_dup(source.encode(), stamp(since)) is None:
                return []
            return [json.loads(txn.get(key, db=self.events)) for key in cursor.iternext_dup()]

    def forget_before(self, second: int) -> int:
        """Deletes the events before a time, and returns how many there were."""
        with self.env.begin(write=True) as txn:
            for key, value in list(txn.items(self.events, stop=stamp(second))):
                txn.delete(json.loads(value)["source"].encode(), key, db=self.sources)
            return txn.delete_range(stop=stamp(second), db=self.events)


def main(path: str) -> None:
    log = EventLog(path)
    chance = random.Random(1)
    events = [
        (chance.randrange(10 * DAY), chance.choice(["door", "lamp", "stove"]), {"n": number})
        for number in range(20_000)
    ]
    log.add(sorted(events, key=lambda event: event[0]))
    expected = sum(3 * DAY <= second < 4 * DAY for second, _, _ in events)
    assert len(list(log.between(3 * DAY, 4 * DAY))) == expected
    print(expected, "events on the fourth day")
    late = log.of_source("stove", since=9 * DAY)
    assert all(event["source"] == "stove" for event in late)
    print(len(late), "events of the stove on the last")
    print(log.forget_before(7 * DAY), "forgotten,", log.env.stat(log.events).entries, "left")
    log.env.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(folder + "/events.zdb")
