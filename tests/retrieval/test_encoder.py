"""The sentence encoder with the real MiniLM: what a question's vector depends on, and how often it is made."""

import numpy as np
import pytest

from lib.retrieval.encoder import Encoder, load_encoder

EMBEDDER = "all-minilm-l6-v2"
SHORT, LONG = "Late fee?", "By which date must a return be filed by a person whose accounts are not audited? " * 4


@pytest.fixture
def read(monkeypatch):
    """All texts that any encoder embeds, in order."""
    texts, original = [], Encoder.encode
    monkeypatch.setattr(Encoder, "encode", lambda self, batch: texts.extend(batch) or original(self, batch))
    return texts


def test_vectors_are_unit_vectors_in_the_order_of_the_texts():
    vectors = load_encoder(EMBEDDER).encode([SHORT, LONG, SHORT])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert vectors[0] == pytest.approx(vectors[2], abs=1e-6)
    assert vectors[0] @ vectors[1] < 0.9


def test_a_question_is_read_once_however_often_it_is_asked(read):
    encoder = Encoder(EMBEDDER)
    encoder.encode_questions([SHORT, LONG, SHORT])
    first, again = encoder.encode_questions([LONG, SHORT])
    assert read == [SHORT, LONG]
    assert np.array([first, again]) == pytest.approx(encoder.encode([LONG, SHORT]), abs=1e-5)


def test_a_questions_vector_is_the_same_to_the_bit_whoever_else_asks():
    alone, beside = Encoder(EMBEDDER), Encoder(EMBEDDER)
    beside.encode_questions([LONG, *(f"{LONG} {number}" for number in range(3))])
    assert (alone.encode_questions([SHORT])[0] == beside.encode_questions([LONG, SHORT])[1]).all()


def test_no_question_is_known_where_one_is_timed_and_all_are_after_it(read):
    encoder = Encoder(EMBEDDER)
    encoder.encode_questions([SHORT])
    with encoder.afresh():
        encoder.encode_questions([SHORT, LONG])
    encoder.encode_questions([SHORT])
    assert read == [SHORT, SHORT, LONG]
    encoder.encode_questions([LONG])
    assert read[3:] == [LONG], "what was timed is not kept"


def test_what_failed_while_timed_forgets_nothing(read):
    encoder = Encoder(EMBEDDER)
    encoder.encode_questions([SHORT])
    with pytest.raises(KeyError), encoder.afresh():
        raise KeyError
    encoder.encode_questions([SHORT])
    assert read == [SHORT]
