"""Contextual vectors of words: the mean over their pieces, long sentences in windows, the cache, and what is refused."""

import numpy as np
import pytest
import torch
from support.tiny_encoders import save_bert, save_sentences, save_vit
from support.tiny_text_models import WORDS
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoTokenizer, RobertaConfig, RobertaModel, RobertaTokenizerFast

import hardsight as hs
from hardsight.data.encoders.named import NamedModel
from hardsight.data.tokens.contextual import encode_words

pytestmark = pytest.mark.usefixtures("cache")
SENTENCES = [["the", "film", "was", "very-good", "."], ["bad"], ["fine", "film"]]


def states_of(model, ids):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()


def test_a_word_is_the_mean_over_its_pieces_in_its_sentence(tmp_path) -> None:
    model, words = save_bert(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    vectors, notices = encode_words(f"transformers:{tmp_path}", SENTENCES)
    states = states_of(model, words("the film was very-good .")["input_ids"])
    expected = [*states[:3], states[3:6].mean(0), states[6], states_of(model, [WORDS.index("bad")])[0]]
    np.testing.assert_allclose(vectors[:6], expected, atol=1e-5)
    assert notices == [f"Each token became 8 numbers (transformers {tmp_path})."]


def test_a_long_sentence_is_read_in_windows_and_a_word_far_from_their_ends(tmp_path) -> None:
    model = save_bert(tmp_path)
    sentence = [WORDS[2 + at * at % 9] for at in range(40)]
    ids = [WORDS.index(word) for word in sentence]
    vectors, _ = encode_words(f"transformers:{tmp_path}", [sentence])
    # 16 pieces at once, of which 4 stand in the window before.
    windows = [(start, states_of(model, ids[start : start + 16])) for start in (0, 12, 24)]
    for at, vector in enumerate(vectors):
        inside = [(start, states) for start, states in windows if start <= at < start + len(states)]
        margins = [min(at - start, start + len(states) - 1 - at) for start, states in inside]
        start, states = inside[int(np.argmax(margins))]
        np.testing.assert_allclose(vector, states[at - start], atol=1e-5)


def test_a_tokenizer_that_marks_blanks_reads_words_as_in_text(tmp_path) -> None:
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(["the film was good"] * 3, vocab_size=300, show_progress=False,
                                special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])  # fmt: skip
    trained.save_model(str(tmp_path))
    RobertaTokenizerFast(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt")).save_pretrained(tmp_path)
    torch.manual_seed(0)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = RobertaModel(RobertaConfig(vocab_size=300, max_position_embeddings=40, pad_token_id=1, **size)).eval()
    model.save_pretrained(tmp_path)
    vectors, _ = encode_words(f"transformers:{tmp_path}", [["film", "good"]])
    pieces = AutoTokenizer.from_pretrained(tmp_path)(" film good", return_offsets_mapping=True)
    states, starts = states_of(model, pieces["input_ids"]), np.array(pieces["offset_mapping"])
    first = [at for at, (start, end) in enumerate(starts) if end > start and end <= 5]
    np.testing.assert_allclose(vectors[0], states[first].mean(0), atol=1e-5)


def test_words_without_pieces_are_zero_with_a_notice(tmp_path) -> None:
    save_bert(tmp_path)
    vectors, notices = encode_words(f"transformers:{tmp_path}", [["good", "\u00a0"], ["bad"]])
    assert not vectors[1].any()
    assert vectors[[0, 2]].all(1).all()
    assert notices[1].startswith("1 word has no pieces")


def test_vectors_come_from_the_cache_the_second_time(tmp_path, monkeypatch) -> None:
    save_bert(tmp_path)
    vectors, _ = encode_words(f"transformers:{tmp_path}", SENTENCES)
    monkeypatch.setattr(NamedModel, "__call__", lambda *_: pytest.fail("encoded again"))
    np.testing.assert_array_equal(encode_words(f"transformers:{tmp_path}", SENTENCES)[0], vectors)
    monkeypatch.undo()
    other, _ = encode_words(f"transformers:{tmp_path}", [["bad", "film"]])
    assert not np.allclose(other[0], vectors[5])


def test_a_cache_that_cannot_be_written_is_a_notice(tmp_path, monkeypatch) -> None:
    save_bert(tmp_path / "bert")
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("HARDSIGHT_CACHE", str(tmp_path / "file"))
    _, notices = encode_words(f"transformers:{tmp_path / 'bert'}", SENTENCES)
    assert notices[-1].startswith("Vectors are not kept: the cache ")


def test_texts_and_words_by_one_encoder_do_not_mix(tmp_path) -> None:
    save_bert(tmp_path)
    encoder = hs.Encoder(f"transformers:{tmp_path}")
    texts, _ = encoder.encode(["very-good film"], "text")
    words, _ = encode_words(encoder, [["very-good", "film"]])
    assert words.shape == (2, 8)
    np.testing.assert_array_equal(encoder.encode(["very-good film"], "text")[0], texts)


def test_tokens_are_measured_by_contextual_vectors(tmp_path) -> None:
    save_bert(tmp_path)
    tokens = hs.Tokens.of(SENTENCES, [["O", "O", "O", "B-X", "O"], ["B-X"], ["B-X", "O"]])
    samples = tokens.samples(embedding=f"transformers:{tmp_path}")
    np.testing.assert_array_equal(samples.matrix, encode_words(f"transformers:{tmp_path}", SENTENCES)[0])
    assert any("became 8 numbers" in notice for notice in samples.notices)


def test_what_cannot_encode_words_is_refused(tmp_path) -> None:
    save_vit(tmp_path / "vit")
    save_bert(tmp_path / "bert")
    save_sentences(tmp_path / "sentences")
    tokens = hs.Tokens.of(SENTENCES, [["O", "O", "O", "B-X", "O"], ["B-X"], ["B-X", "O"]])
    for embedding, message in [
        (f"transformers:{tmp_path / 'vit'}", "reads images, and these samples are tokens"),
        (f"sentence-transformers:{tmp_path / 'sentences'}", "these samples are tokens: pass another model"),
        (hs.Encoder(f"transformers:{tmp_path / 'bert'}", prompt="query: "), "prompt is for texts"),
        (hs.Encoder(len), "pass the numbers that it returns, one row per token"),
        ("tfidf", "must be 'auto', 'transformers:NAME' or numbers"),
    ]:
        with pytest.raises(hs.InputError, match=message):
            tokens.samples(embedding=embedding)
