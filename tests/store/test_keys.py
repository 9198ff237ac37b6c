"""Digests of what results are made of."""

from __future__ import annotations

from pipeline.store.keys import listing_digest


def test_the_digest_of_files_changes_with_names_and_contents_and_not_with_their_order() -> None:
    digest = listing_digest({"a": "1", "b": "2"})
    assert listing_digest({"b": "2", "a": "1"}) == digest
    assert len({digest, listing_digest({"a": "1"}), listing_digest({"a": "1", "b": ""})}) == 3
