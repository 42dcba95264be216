"""Low-rank adapters (LoRA; Hu et al. 2022) in the top layers of a frozen model, whose lower layers run once per sample."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hardsight.errors import InputError
from hardsight.io.memmap import ArrayAllocator
from hardsight.validation import check_int

# Inputs with one number per token: padding at the end depends on the batch, and does not count.
_PER_TOKEN = {"input_ids", "attention_mask", "token_type_ids", "position_ids"}
_OF_LABELS = {"labels", "label", "label_ids"}


class AdapterOptions(NamedTuple):
    """Which adapters are trained.

    Attributes:
        layers: the number of layers with adapters, counted from the top.
        rank: of each adapter; its output is multiplied by 2, as with ``lora_alpha = 2 * rank``.
    """

    layers: int
    rank: int

    def describe(self) -> str:
        """Return the options in words."""
        layers = "the top layer" if self.layers == 1 else f"the top {self.layers} layers"
        return f"LoRA adapters of rank {self.rank} in {layers}"


def check_adapters(adapters: Any, layers: Any, rank: Any) -> AdapterOptions | None:
    """Return the options of adapters; None without adapters.

    Raises:
        InputError: an unknown kind of adapter, numbers below 1, or peft is not installed.
    """
    if adapters is None:
        return None
    if adapters != "lora":
        raise InputError(f"adapters must be 'lora' or None. Got {adapters!r}")
    _import_peft()
    return AdapterOptions(check_int("adapter_layers", layers, 1), check_int("adapter_rank", rank, 1))


class LowerLayers:
    """Outputs of the layers below the adapters, by the inputs of a sample.

    They are kept in memory, or in temporary files where they need more than half of what is free.

    Args:
        n_samples: number of samples that :meth:`add` is to get.
    """

    def __init__(self, n_samples: int) -> None:
        self._n_samples = n_samples
        self._allocator: ArrayAllocator | None = None
        self._outputs: dict[bytes, Tensor] = {}

    def add(self, keys: list[bytes], lengths: list[int], outputs: Tensor) -> None:
        """Keep the outputs of a batch.

        Args:
            keys: of the samples.
            lengths: number of tokens of each sample, without padding.
            outputs: ``(sample, token, feature)``.
        """
        if self._allocator is None:
            per_sample = sum(lengths) / len(lengths) * outputs.shape[-1] * outputs.element_size()
            self._allocator = ArrayAllocator(int(per_sample * self._n_samples))
        kept = self._allocator.zeros(sum(lengths), outputs.shape[-1], dtype=outputs.dtype)
        for key, length, place, output in zip(keys, lengths, torch.split(kept, lengths), outputs, strict=True):
            place.copy_(output[:length])
            self._outputs[key] = place

    def get(self, keys: list[bytes], like: Tensor) -> Tensor | None:
        """Return the outputs of a batch, zero for padding; None if one of them is unknown.

        Args:
            keys: of the samples.
            like: a tensor ``(sample, token, feature)`` of the shape, type and device of the outputs.
        """
        rows = [self._outputs[key] for key in keys if key in self._outputs]
        if not keys or len(rows) < len(keys):
            return None
        outputs = torch.zeros(like.shape, dtype=rows[0].dtype)
        for output, row in zip(outputs, rows, strict=True):
            output[: len(row)] = row
        return outputs.to(like.device, like.dtype)


class FrozenBase:
    """The weights that all members share, which of them get adapters, and what the layers below these return.

    Args:
        model: as ``model_init`` makes it. :meth:`observe` gets the same model.
        options: which adapters are trained.
        n_samples: number of samples.

    Raises:
        InputError: the model is no stack of layers, or has too few of them.
    """

    def __init__(self, model: nn.Module, options: AdapterOptions, n_samples: int) -> None:
        if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
            raise InputError("adapters need a model that is one stack of layers, and this one has two: leave adapters out")
        self.options, self._stack = options, _find_stack(model)
        n_layers = len(_layers(model, self._stack))
        if options.layers > n_layers:
            raise InputError(f"adapter_layers must be {n_layers} or less, the layers of the model. Got {options.layers}")
        self._n_frozen = n_layers - options.layers
        self._weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        self._above: frozenset[str] = frozenset()
        self.cache = LowerLayers(n_samples) if self._n_frozen else None

    def observe(self, model: nn.Module, predict: Callable[[], Any]) -> Any:
        """Fill the cache with the samples that a function predicts, and see which modules run after the layers.

        Args:
            model: that of the weights; it is changed in place.
            predict: predicts all samples by this model.

        Returns:
            what it predicts.
        """
        order = _CallOrder(model, _layers(model, self._stack)[-1])
        self._freeze_lower(model, filling=True)
        predicted = predict()
        self._above = order.last_called()
        return predicted

    def prepare(self, model: nn.Module) -> None:
        """Give a new model the shared weights and new adapters, and freeze the rest; in place.

        The modules above the layers, such as pooling and the classifier, stay as they were made and are trained. The output
        layer of a language model is frozen: it is as large as the vocabulary, and often that of the inputs.

        Args:
            model: as ``model_init`` makes it.
        """
        trained = self._trained_above(model)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name not in trained:
                    parameter.copy_(self._weights[name])
        parameters = [parameter for name, parameter in model.named_parameters() if name in trained]
        self._add_adapters(model)
        for parameter in parameters:
            parameter.requires_grad_(True)
        self._freeze_lower(model)

    def _trained_above(self, model: nn.Module) -> set[str]:
        """Return the names of the parameters above the layers that a member trains."""
        below = {
            id(parameter)
            for name, module in model.named_modules()
            if name not in self._above
            for parameter in module.parameters(recurse=False)
        }
        find_output_layer = getattr(model, "get_output_embeddings", lambda: None)
        output_layer = find_output_layer()
        below |= set() if output_layer is None else {id(parameter) for parameter in output_layer.parameters()}
        return {name for name, parameter in model.named_parameters() if id(parameter) not in below}

    def _add_adapters(self, model: nn.Module) -> None:
        peft, top = _import_peft(), _layers(model, self._stack)[self._n_frozen :]
        adapted = {id(module) for layer in top for module in layer.modules() if _is_linear(module)}
        names = [name for name, module in model.named_modules() if id(module) in adapted]
        peft.inject_adapter_in_model(
            peft.LoraConfig(
                r=self.options.rank,
                lora_alpha=2 * self.options.rank,
                target_modules=names,
                fan_in_fan_out=all(_is_transposed(model.get_submodule(name)) for name in names),
            ),
            model,
        )

    def _freeze_lower(self, model: nn.Module, *, filling: bool = False) -> None:
        """Run everything below the adapters without dropout, and from the cache where it is known."""
        layers = _layers(model, self._stack)
        for name, module in model.named_modules():
            if name == self._stack:
                break
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        batch = _Batch(self.cache, filling)
        model.register_forward_pre_hook(batch.read_inputs, with_kwargs=True)
        for index in range(self._n_frozen):
            layers[index] = _FrozenLayer(layers[index], batch, first=index == 0, last=index == self._n_frozen - 1)


class _Batch:
    """The batch that runs through a model.

    Args:
        cache: outputs of the lower layers; None: none are kept.
        filling: whether new ones are kept.
    """

    def __init__(self, cache: LowerLayers | None, filling: bool) -> None:
        self._cache, self._filling = cache, filling
        self._keys: list[bytes] = []
        self._lengths: list[int | None] = []
        self.outputs: Tensor | None = None

    def read_inputs(self, module: nn.Module, args: Any, inputs: dict[str, Any]) -> None:
        """Take the keys of the samples from the inputs of the model."""
        del module, args
        if self._cache is not None:
            self._keys, self._lengths = _sample_keys(inputs)

    def look_up(self, hidden: Tensor) -> None:
        """Look for the outputs of the lower layers; their inputs tell the shape."""
        self.outputs = None if self._cache is None else self._cache.get(self._keys, hidden)

    def keep(self, outputs: Tensor) -> None:
        """Keep the outputs of the lower layers, if the cache is being filled."""
        if self._cache is not None and self._filling and len(self._keys) == len(outputs):
            lengths = [outputs.shape[1] if length is None else length for length in self._lengths]
            self._cache.add(self._keys, lengths, outputs.detach().cpu())


class _FrozenLayer(nn.Module):
    """A layer below the adapters: it has no gradient and no dropout, and does not run where its output is known.

    Args:
        block: the layer.
        batch: is shared by all layers of the model.
        first: whether it is the lowest layer.
        last: whether the next layer has adapters.
    """

    def __init__(self, block: nn.Module, batch: _Batch, *, first: bool, last: bool) -> None:
        super().__init__()
        self.block = block.eval()
        self._batch, self._first, self._last = batch, first, last

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            # Some models ask their layers for the kind of attention.
            return getattr(super().__getattr__("block"), name)

    def train(self, mode: bool = True) -> "_FrozenLayer":
        """Stay without dropout, whatever the mode."""
        del mode
        return super().train(False)

    def forward(self, *args: Any, **options: Any) -> Any:
        """Return what the layer returns."""
        hidden = args[0] if args else options["hidden_states"]
        if self._first:
            self._batch.look_up(hidden)
        if self._batch.outputs is not None:
            return self._batch.outputs if self._last else hidden
        with torch.no_grad():
            returned = self.block(*args, **options)
        if not isinstance(returned, Tensor):
            raise InputError(
                f"adapters need layers that return one tensor, and {type(self.block).__name__} returns a "
                f"{type(returned).__name__}: set adapter_layers to the number of all layers, or leave adapters out"
            )
        if self._last:
            self._batch.keep(returned)
        return returned


class _CallOrder:
    """Which modules with parameters are called only after the last layer.

    Args:
        model: the model.
        last_layer: the layer after which the others count.
    """

    def __init__(self, model: nn.Module, last_layer: nn.Module) -> None:
        self._done = False
        self._before: set[str] = set()
        self._after: set[str] = set()
        model.register_forward_pre_hook(self._begin)
        last_layer.register_forward_hook(self._end)
        for name, module in model.named_modules():
            if any(True for _ in module.parameters(recurse=False)):
                module.register_forward_pre_hook(lambda *_, name=name: self._note(name))

    def last_called(self) -> frozenset[str]:
        """Return the names of the modules that were called only after the last layer."""
        return frozenset(self._after - self._before)

    def _begin(self, *_: Any) -> None:
        self._done = False

    def _end(self, *_: Any) -> None:
        self._done = True

    def _note(self, name: str) -> None:
        (self._after if self._done else self._before).add(name)


def _sample_keys(inputs: dict[str, Any]) -> tuple[list[bytes], list[int | None]]:
    """Return a digest of the inputs of each sample, and its number of tokens, None if they have none.

    Args:
        inputs: of the model, by name.
    """
    tensors = {
        name: value.detach().cpu()
        for name, value in sorted(inputs.items())
        if isinstance(value, Tensor) and value.ndim and name not in _OF_LABELS
    }
    if len({len(value) for value in tensors.values()}) != 1:
        return [], []
    mask = tensors.get("attention_mask")
    keys: list[bytes] = []
    lengths: list[int | None] = []
    for row in range(len(next(iter(tensors.values())))):
        length = _length(None if mask is None else mask[row], tensors.get("input_ids"))
        digest = blake2b(digest_size=16)
        for name, value in tensors.items():
            part = value[row, :length] if name in _PER_TOKEN else value[row]
            digest.update(f"{name} {tuple(part.shape)} {part.dtype}".encode())
            digest.update(part.contiguous().reshape(-1).view(torch.uint8).numpy().data)
        keys.append(digest.digest())
        lengths.append(length)
    return keys, lengths


def _length(mask: Tensor | None, tokens: Tensor | None) -> int | None:
    """Return the number of tokens up to the last one that is not padding; None without tokens."""
    if tokens is None:
        return None
    if mask is None or mask.ndim != 1 or not bool(mask.any()):
        return tokens.shape[1]
    return int(mask.nonzero()[-1]) + 1


def _find_stack(model: nn.Module) -> str:
    """Return the name of the longest list of layers, of those in no other list.

    Raises:
        InputError: there is none.
    """
    stacks = {
        name: len(module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and any(True for _ in module.parameters())
    }
    outer = {name: size for name, size in stacks.items() if not any(name.startswith(f"{each}.") for each in stacks)}
    if not outer:
        raise InputError(f"adapters need a transformer, and {type(model).__name__} has no list of layers: leave them out")
    longest: str = max(outer, key=lambda name: outer[name])
    return longest


def _layers(model: nn.Module, name: str) -> nn.ModuleList:
    layers = model.get_submodule(name)
    assert isinstance(layers, nn.ModuleList)
    return layers


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or _is_transposed(module)


def _is_transposed(module: nn.Module) -> bool:
    """Return whether a module is a linear map with transposed weights, as in GPT-2."""
    return type(module).__name__ == "Conv1D"


def _import_peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise InputError(f"{error.name} is not installed: pip install 'hardsight[adapters]'") from error
    return peft
