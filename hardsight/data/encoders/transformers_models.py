"""Texts, the words of sentences, and images by a model of transformers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hardsight.data.encoders.convolutions import choose_parts
from hardsight.data.encoders.library import Library, LoadedModel, ModelOptions, describe_saved, local_folder
from hardsight.errors import InputError


def load(transformers: Any, name: str, options: ModelOptions) -> LoadedModel:
    """Load a model of texts or of images, as its main input tells; of a model of both, such as CLIP, the image tower.

    A text becomes the mean over its tokens of the last hidden state, and is cut at the model's number of tokens. A word of a
    sentence becomes the mean over its pieces; long sentences are read in windows that overlap by a quarter. An image
    becomes the pooled output. Where the file has no weights for pooling, the class token serves, or the mean.

    Args:
        transformers: the package.
        name: of a model on the hub, or its folder.

    Raises:
        InputError: the file has not all weights.
    """
    import torch

    name = str(local_folder(name) or name)
    logging = transformers.utils.logging
    verbosity = logging.get_verbosity()
    # Weights that are missing are checked below.
    logging.set_verbosity_error()
    try:
        model, loading = transformers.AutoModel.from_pretrained(name, dtype=torch.float32, output_loading_info=True)
    finally:
        logging.set_verbosity(verbosity)
    missing = frozenset(loading["missing_keys"])
    if others := sorted(key for key in missing if "pooler" not in key.split(".")):
        raise InputError(
            f"the file of {name!r} has no weights for {others[0]}{' and others' if len(others) > 1 else ''}: pass a model "
            "that was saved with all weights"
        )
    of_images = hasattr(model, "get_image_features") or model.main_input_name == "pixel_values"
    make = _image_model if of_images else _word_model if options.per_word else _text_model
    return make(transformers, name, options, model, missing)


def _text_model(transformers: Any, name: str, options: ModelOptions, model: Any, missing: frozenset[str]) -> LoadedModel:
    import torch

    tokenizer = transformers.AutoTokenizer.from_pretrained(name)
    if tokenizer.pad_token is None:
        # Models of the next token have none. What stands there is masked.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    preprocessing, limit = describe_saved(tokenizer), _max_tokens(tokenizer, model)
    encoder = model.get_encoder() if model.config.is_encoder_decoder else model

    def encode(texts: list[str]) -> torch.Tensor:
        inputs = tokenizer(texts, padding=True, truncation=limit is not None, max_length=limit, return_tensors="pt")
        tokens, mask = inputs["input_ids"].long(), inputs["attention_mask"].long().to(options.device)
        if not tokens.shape[1]:
            # Empty texts, and a tokenizer that adds nothing to them.
            tokens, mask = torch.full((len(texts), 1), tokenizer.pad_token_id), mask.new_zeros(len(texts), 1)
        states = encoder(input_ids=tokens.to(options.device), attention_mask=mask).last_hidden_state
        weights = mask[..., None].to(states.dtype)
        mean: torch.Tensor = (states * weights).sum(1) / weights.sum(1).clamp(min=1)
        return mean

    prompt = options.prompt or ""
    return LoadedModel(name, model, ("text",), f"{preprocessing} {limit}", lambda text: prompt + text, encode, missing)


class _Window(NamedTuple):
    """A part of a sentence that the model reads at once: its pieces, and of each the number of its word in the batch."""

    pieces: list[int]
    words: list[int | None]


def _word_model(transformers: Any, name: str, options: ModelOptions, model: Any, missing: frozenset[str]) -> LoadedModel:
    import torch

    tokenizer = transformers.AutoTokenizer.from_pretrained(name)
    if getattr(tokenizer, "add_prefix_space", None) is False:
        # Without a blank before it, each word would begin a text.
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, add_prefix_space=True)
    if not tokenizer.is_fast:
        raise InputError(f"the tokenizer of {name!r} does not tell the pieces of words: pass a model with a fast tokenizer")
    preprocessing, limit = describe_saved(tokenizer), _max_tokens(tokenizer, model)
    encoder = model.get_encoder() if model.config.is_encoder_decoder else model

    def encode(sentences: list[Sequence[str]]) -> torch.Tensor:
        windows: list[_Window] = []
        n_words = 0
        for sentence in sentences:
            windows += _split_words(tokenizer, sentence, n_words, limit)
            n_words += len(sentence)
        width = max(1, *(len(window.pieces) for window in windows))
        pieces = torch.zeros(len(windows), width, dtype=torch.int64)
        mask = torch.zeros_like(pieces)
        for row, window in enumerate(windows):
            pieces[row, : len(window.pieces)] = torch.tensor(window.pieces)
            mask[row, : len(window.pieces)] = 1
        inputs = pieces.to(options.device), mask.to(options.device)
        states = encoder(input_ids=inputs[0], attention_mask=inputs[1]).last_hidden_state.flatten(0, 1).float()
        word, place = (torch.tensor(each, dtype=torch.int64, device=states.device) for each in _places(windows, width))
        total = states.new_zeros(n_words, states.shape[1]).index_add_(0, word, states[place])
        mean: torch.Tensor = total / torch.bincount(word, minlength=n_words).clamp(min=1)[:, None]
        return mean

    return LoadedModel(name, model, ("token",), f"words {preprocessing} {limit}", lambda sentence: sentence, encode, missing)


def _split_words(tokenizer: Any, sentence: Sequence[str], first: int, limit: int | None) -> list[_Window]:
    """Split a sentence into windows, whose words are numbered from the first one's number on."""
    if limit is None:
        pieces = tokenizer(list(sentence), is_split_into_words=True)
        rows = [pieces["input_ids"]]
    else:
        pieces = tokenizer(
            list(sentence),
            is_split_into_words=True,
            truncation=True,
            max_length=limit,
            stride=limit // 4,
            return_overflowing_tokens=True,
        )
        rows = pieces["input_ids"]
    return [
        _Window(row, [None if at is None else first + at for at in pieces.word_ids(number)])
        for number, row in enumerate(rows)
    ]


def _places(windows: Sequence[_Window], width: int) -> tuple[list[int], list[int]]:
    """Return the words of all pieces that count, and their places in the padded windows.

    The pieces of a word count in the window in which they are farthest from its ends.
    """
    best: dict[int, tuple[int, list[int]]] = {}
    for row, window in enumerate(windows):
        places: dict[int, list[int]] = {}
        for at, word in enumerate(window.words):
            if word is not None:
                places.setdefault(word, []).append(at)
        for word, own in places.items():
            margin = min(own[0], len(window.pieces) - 1 - own[-1])
            if word not in best or margin > best[word][0]:
                best[word] = margin, [row * width + at for at in own]
    pairs = [(word, place) for word, (_, places_of_word) in best.items() for place in places_of_word]
    return [word for word, _ in pairs], [place for _, place in pairs]


def _max_tokens(tokenizer: Any, model: Any) -> int | None:
    """Return the number of tokens that the model reads at most; None without a limit."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None:
        # Models such as RoBERTa count positions from the padding's number on.
        first = getattr(getattr(model, "embeddings", None), "padding_idx", None)
        positions -= 0 if first is None or model.config.model_type == "bert" else first + 1
    limits = [int(limit) for limit in (tokenizer.model_max_length, positions) if limit is not None and limit < 1e9]
    return min(limits, default=None)


def _image_model(transformers: Any, name: str, options: ModelOptions, model: Any, missing: frozenset[str]) -> LoadedModel:
    import torch

    processor = transformers.AutoImageProcessor.from_pretrained(name)
    preprocessing, pool = describe_saved(processor), _choose_pooling(model, missing)
    features = getattr(model, "get_image_features", model)
    encode_batch = choose_parts(lambda pixels: pool(features(pixel_values=pixels)), model, options.device)

    def prepare(image: Any) -> torch.Tensor:
        pixels: torch.Tensor = processor(images=image, return_tensors="pt")["pixel_values"][0]
        return pixels

    def encode(images: list[torch.Tensor]) -> torch.Tensor:
        return encode_batch(torch.stack(images).to(options.device, options.dtype))

    return LoadedModel(name, model, ("image",), preprocessing, prepare, encode, missing)


def _choose_pooling(model: Any, missing: frozenset[str]) -> Callable[[Any], Any]:
    """Return how the output of a model becomes one vector for each image."""
    class_token = hasattr(getattr(model, "embeddings", None), "cls_token")

    def pool(output: Any) -> Any:
        if not hasattr(output, "last_hidden_state"):
            return output
        pooled = output.get("pooler_output")
        if pooled is not None and not missing:
            return pooled.flatten(1)
        states = output.last_hidden_state
        if class_token:
            return states[:, 0]
        return states.mean(1) if states.ndim == 3 else states.flatten(2).mean(2)

    return pool


LIBRARY = Library("transformers", "transformers", "huggingface", ("image", "text", "token"), load)
