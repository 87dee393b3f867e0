"""Hits of two searches in one list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.rag.ranking import fuse, spread

hits = st.lists(st.tuples(st.integers(0, 30), st.floats(-5, 50)), max_size=20, unique_by=lambda hit: hit[0])


def test_scores_are_scaled_over_each_list_and_weighted() -> None:
    fused = fuse([(1, 30.0), (2, 20.0), (3, 10.0)], [(3, 0.9), (2, 0.5), (4, 0.1)], 0.7)
    assert fused == [(1, 0.7), (2, pytest.approx(0.5)), (3, pytest.approx(0.3)), (4, 0.0)]


@pytest.mark.parametrize(
    ("lexical", "dense", "expected"),
    [
        ([], [], []),
        ([(1, 5.0)], [], [(1, 0.7)]),
        ([], [(1, 0.5)], [(1, pytest.approx(0.3))]),
        ([(1, 2.0), (2, 2.0)], [], [(1, 0.7), (2, 0.7)]),
    ],
    ids=["nothing", "lexical alone", "dense alone", "all of one score"],
)
def test_lists_without_a_range_count_full(
    lexical: list[tuple[int, float]], dense: list[tuple[int, float]], expected: list[tuple[int, float]]
) -> None:
    assert fuse(lexical, dense, 0.7) == expected


def test_ties_keep_the_order_of_the_lists() -> None:
    assert [id for id, _ in fuse([(9, 1.0), (3, 1.0)], [(5, 1.0), (1, 1.0)], 0.5)] == [9, 3, 5, 1]


@given(hits, hits, st.floats(0, 1))
def test_every_hit_is_there_once_with_a_score_in_0_to_1(
    lexical: list[tuple[int, float]], dense: list[tuple[int, float]], weight: float
) -> None:
    fused = fuse(lexical, dense, weight)
    assert sorted(id for id, _ in fused) == sorted({id for id, _ in lexical} | {id for id, _ in dense})
    assert [score for _, score in fused] == sorted((score for _, score in fused), reverse=True)
    assert all(0 <= score <= 1 + 1e-9 for _, score in fused)


def test_hits_beyond_the_most_of_one_document_go_behind() -> None:
    documents = {1: "a", 2: "a", 3: "a", 4: "b", 5: "a", 6: "c"}
    assert spread([1, 2, 3, 4, 5, 6], documents, 2) == [1, 2, 4, 6, 3, 5]
    assert spread([1, 2, 3], documents, 2) == [1, 2, 3]
