"""The reader of event streams."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.rag.errors import UpstreamFailed, UpstreamGarbled
from chatbot.rag.http import event_stream


@given(st.lists(st.text(), max_size=5), st.lists(st.integers(1, 40), min_size=1), st.sampled_from([b"\n", b"\r\n"]))
def test_any_text_in_any_pieces_comes_out_as_it_was(texts: list[str], sizes: list[int], end: bytes) -> None:
    data = b"".join(
        b"event: x" + end + b"data: " + json.dumps({"t": text}, ensure_ascii=False).encode("utf-8", "replace") + end * 2
        for text in texts
    )
    chunks = []
    position = 0
    number = 0
    while position < len(data):
        size = sizes[number % len(sizes)]
        chunks.append(data[position : position + size])
        position = position + size
        number = number + 1
    expected = [text.encode("utf-8", "replace").decode() for text in texts]
    assert [chunk["t"] for batch in event_stream.payloads(chunks) for chunk in batch] == expected


def test_nothing_after_done_is_read() -> None:
    assert list(event_stream.payloads([b'data: {"a": 1}\n\ndata: [DONE]\n\ndata: garbage\n\n'])) == [[{"a": 1}]]


def test_last_line_needs_no_end() -> None:
    assert list(event_stream.payloads([b": ping\nid: 1\nretry: 5\n", b'data:{"a": 1}'])) == [[{"a": 1}]]


@pytest.mark.parametrize(
    "data",
    [
        b"<html>\n",
        b"data: {\n",
        b"data: [1]\n",
        b"data: \xff\n",
        b'data: "text"\n',
        b"data: NaN\n",
        b"data: ping pong\n",
    ],
)
def test_garbage_is_told_as_such(data: bytes) -> None:
    with pytest.raises(UpstreamGarbled):
        list(event_stream.payloads([data]))


def test_error_frame_is_a_failure() -> None:
    with pytest.raises(UpstreamFailed):
        list(event_stream.payloads([b'data: {"error": {"message": "x"}}\n']))


def test_line_without_end_is_given_up() -> None:
    with pytest.raises(UpstreamGarbled):
        list(event_stream.payloads(b"x" * 65_536 for _ in range(1000)))
