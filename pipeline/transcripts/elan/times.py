"""When the annotations of an .eaf are: by their slots, their neighbours, or what they belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline.errors import UserError
from pipeline.transcripts.elan.document import Document, Row


class Times:
    """When annotations are: by their slots, or by what they belong to."""

    def __init__(self, document: Document) -> None:
        self._rows = {row.id: row for row in document.rows}
        repeated = [id for id, count in Counter(row.id for row in document.rows).items() if count > 1]
        if repeated:
            raise UserError(f"line {self._rows[repeated[0]].line}: a second annotation {repeated[0]!r}")
        self._slots = dict(document.slots)
        self.shared: set[str] = set()
        """Annotations without a time of their own."""
        self._share_gaps(document.rows)
        siblings: dict[tuple[str, str], list[Row]] = {}
        for row in document.rows:
            if row.refers:
                siblings.setdefault((row.tier, row.refers), []).append(row)
        self._places = {id: place for rows in siblings.values() for place, id in enumerate(_in_order(rows))}
        self._siblings = {of: len(rows) for of, rows in siblings.items()}
        self._spans: dict[str, tuple[int, int]] = {}

    def span(self, row: Row) -> tuple[int, int]:
        """Start and end in ms; UserError where the file does not say them."""
        chain = [row]
        while chain[-1].refers and chain[-1].id not in self._spans:
            parent = self._rows.get(chain[-1].refers)
            if parent is None:
                raise UserError(f"refers to the annotation {chain[-1].refers!r}, which is not there")
            if len(chain) > len(self._rows):
                raise UserError("refers to an annotation that refers to it")
            chain.append(parent)
        for each in reversed(chain):
            if each.id not in self._spans:
                self._spans[each.id] = self._share(each) if each.refers else self._aligned(each)
        return self._spans[row.id]

    def _aligned(self, row: Row) -> tuple[int, int]:
        start, end = (self._slots.get(slot) for slot in row.slots)
        if start is None or end is None:
            which = next(slot for slot in row.slots if self._slots.get(slot) is None)
            raise UserError(f"time slot {which!r} has no time, nor has any that it could share")
        return start, end

    def _share(self, row: Row) -> tuple[int, int]:
        """An equal part of the parent's time, where it has several children in this tier."""
        start, end = self._spans[row.refers]
        place, count = self._places[row.id], self._siblings[row.tier, row.refers]
        if count > 1:
            self.shared.add(row.id)
        return start + (end - start) * place // count, start + (end - start) * (place + 1) // count

    def _share_gaps(self, rows: list[Row]) -> None:
        """Give slots without a time equal parts of the time between those of their tier that have one."""
        begun = {(row.tier, row.slots[0]): row for row in rows if not row.refers}
        passed: set[tuple[str, str]] = set()
        for (_, first), row in begun.items():
            start, gap = self._slots.get(first), [row]
            while start is not None and self._slots.get(slot := gap[-1].slots[1]) is None:
                following = begun.get((row.tier, slot))
                if following is None or (row.tier, slot) in passed:
                    break
                passed.add((row.tier, slot))
                gap.append(following)
            end = self._slots.get(gap[-1].slots[1])
            if start is not None and end is not None and len(gap) > 1:
                for place, each in enumerate(gap[:-1], 1):
                    self._slots[each.slots[1]] = start + (end - start) * place // len(gap)
                self.shared.update(each.id for each in gap)


def _in_order(siblings: Sequence[Row]) -> list[str]:
    """Ids of a parent's annotations in one tier, each after its previous; as written where none has one."""
    if not any(row.previous for row in siblings):
        return [row.id for row in siblings]
    following = {row.previous: row.id for row in siblings}
    order: dict[str, None] = {}
    last = following.get("")
    while last is not None and last not in order:
        order[last] = None
        last = following.get(last)
    if lost := next((row for row in siblings if row.id not in order), None):
        raise UserError(
            f"line {lost.line}: annotation {lost.id!r} has the PREVIOUS_ANNOTATION {lost.previous!r}, by"
            f" which those of {lost.refers!r} are in no one order: each but the first must follow another"
        )
    return [*order]
