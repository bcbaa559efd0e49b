#!/usr/bin/env python3
"""Sums up a report of `kafka-backup show-offset-mapping --format json` by group and topic.

    analyze_offsets.py offset-report.json

Needs nothing but Python 3. `lag` counts offsets, so holes of compaction and transactions as well.
"""

import json
import sys

HEADINGS = ("group", "topic", "partitions", "committed", "end", "lag", "read", "after a restore")


def summarize(report):
    """Rows of the table: a group and topic each, in the order of their names."""
    rows = []
    for group, entry in sorted(report["consumer_groups"].items()):
        by_topic = {}
        for name, position in entry["partitions"].items():
            topic = name.rpartition("-")[0]
            by_topic.setdefault(topic, []).append(position)
        for topic, positions in sorted(by_topic.items()):
            rows.append(row(group, topic, positions))
    return rows


def row(group, topic, positions):
    committed = sum(position["committed_offset"] for position in positions)
    end = sum(position["end_offset"] for position in positions)
    lag = sum(position["lag"] for position in positions)
    read = f"{100 * (end - lag) // end} %" if end else "-"
    targets = sorted({position["target_topic"] for position in positions if position["target_topic"]})
    offsets = [position["target_offset"] for position in positions]
    known = targets and None not in offsets
    after = f"{', '.join(targets)} at {sum(offsets)}" if known else "not restored yet"
    return (group, topic, len(positions), committed, end, lag, read, after)


def print_table(rows):
    cells = [HEADINGS, *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEADINGS))]
    for line in cells:
        texts = (
            cell.ljust(width) if i in (0, 1, len(HEADINGS) - 1) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths))
        )
        print("  ".join(texts).rstrip())


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: analyze_offsets.py offset-report.json")
    with open(sys.argv[1], encoding="utf-8") as file:
        report = json.load(file)
    rows = summarize(report)
    print_table(rows)
    print(f"\ntotal lag: {sum(row[5] for row in rows)}")
    if report["unread_groups"]:
        print(f"not read: {', '.join(map(str, report['unread_groups']))}")


if __name__ == "__main__":
    main()
