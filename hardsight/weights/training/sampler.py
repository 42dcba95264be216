"""``WeightedSampler``: samples drawn at random instead of weighted in the loss, and the correction of the bias."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

from hardsight.errors import InputError
from hardsight.validation import check_int
from hardsight.weights.inputs import check_rows
from hardsight.weights.training import distributed
from hardsight.weights.training.id_index import IdIndex, as_ids
from hardsight.weights.training.sources import check_nonnegative, resolve_source


class WeightedSampler(Sampler[int]):
    """A sampler that draws positions of a data set in proportion to chances; for the ``sampler`` of a ``DataLoader``.

    The draws of an epoch follow from the seed, the epoch and the chances alone, alike on every rank; rank r of R goes
    through every R-th draw. The pass after a finished one is the next epoch; ``set_epoch`` can choose another. A pass
    that was broken off starts again, unless :meth:`load_state_dict` said where to go on.

    Without replacement, samples are drawn as by ``numpy.random.choice(…, replace=False, p=…)``: one after the other in
    proportion to the chances of the samples that are left. The draws are then shuffled.

    Attributes:
        epoch: epoch of the current pass, or of the last one.
        total: number of draws in an epoch, of all ranks.
        chances: chances of the current draws, ``(sample,)`` float64, which add up to one.
    """

    def __init__(
        self,
        source: Any,
        num_samples: int | None = None,
        ids: Any = None,
        epochs: float | None = None,
        *,
        draws: int | None = None,
        replacement: bool = True,
        scheme: str | None = None,
        seed: int = 0,
        rank: int | None = None,
        num_replicas: int | None = None,
        **parameters: Any,
    ) -> None:
        """Create a sampler from chances in the order of the data set.

        Args:
            source: chances ``(sample,)``, 0 or more, which need not add up to one; a ``Difficulty``, whose chances are
                ``hs.weigh(source, scheme, **parameters)``; or the name of a scheme without state that gives weights or
                chances, which :meth:`update` computes; until then all chances are equal.
            num_samples: number of samples in the data set; only with a scheme.
            ids: ids of the samples, integers ``(sample,)``; 0, 1, … by default.
            epochs: number of epochs in all, for schemes that read it.
            draws: number of draws in an epoch, of all ranks; by default the number of samples. With several ranks it is
                rounded up to a multiple of their number, without replacement down.
            replacement: whether a sample can be drawn again.
            scheme: with a difficulty, the scheme that makes weights of it; "auto" by default.
            seed: seed of the draws.
            rank: rank of this process; by default that of ``torch.distributed``, 0 without it.
            num_replicas: number of ranks; by default that of ``torch.distributed``, 1 without it.
            parameters: the scheme's own parameters.

        Raises:
            InputError: a chance is negative or all are zero, there are more draws without replacement than samples with
                a chance, the scheme cannot be used here, or the rank does not exist.
        """
        resolved = resolve_source(source, ids, scheme, parameters)
        self.scheme, self.parameters, self.epochs = resolved.scheme, parameters, epochs
        if self.scheme is not None and (self.scheme.init is not None or self.scheme.kind not in ("weights", "sampling")):
            raise InputError(
                f"scheme {self.scheme.name!r} cannot compute chances from losses alone: use hs.Weighting, or compute "
                f"chances in the loop by hs.weights.{self.scheme.function.__name__} and pass them to "
                "sampler.update(chances)"
            )
        if resolved.weights is None and num_samples is None and ids is None:
            raise InputError("the number of samples is unknown: pass num_samples= or ids=")
        self._id_index = IdIndex(num_samples if resolved.weights is None else len(resolved.weights), resolved.ids)
        # Ids are sorted in the index; chances are in the order of the data set.
        self._order = None if resolved.ids is None else as_ids(resolved.ids).argsort()
        self.replacement, self.seed = replacement, check_int("seed", seed, 0)
        self.num_replicas = distributed.world_size() if num_replicas is None else num_replicas
        self.num_replicas = check_int("num_replicas", self.num_replicas, 1)
        self.rank = check_int("rank", distributed.rank() if rank is None else rank, 0)
        if self.rank >= self.num_replicas:
            raise InputError(f"rank must be below num_replicas, {self.num_replicas}. Got {self.rank}")
        count = self._id_index.count
        self.total = self._round_draws(check_int("draws", count if draws is None else draws, 1))
        self.chances = self._normalize(torch.ones(count) if resolved.weights is None else resolved.weights)
        self._pending: Tensor | None = None
        self._threshold: float | None = None
        self.epoch, self._position = 0, 0
        self._resume_at: int | None = None

    def __len__(self) -> int:
        return self.total // self.num_replicas

    def __iter__(self) -> Iterator[int]:
        self._start_pass()
        for position in self._draw()[self.rank :: self.num_replicas][self._position :].tolist():
            self._position += 1
            yield position

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next pass; a pass that a loaded state broke off goes on if it is of that epoch."""
        if epoch != self.epoch or self._resume_at is None:
            self.epoch, self._position, self._resume_at = check_int("epoch", epoch, 0), 0, None

    def update(self, chances: Any = None, **inputs: Any) -> None:
        """Compute the chances of later epochs by the scheme, or replace them; the current epoch keeps its own.

        Args:
            chances: chances of all samples, ``(sample,)``, in place of the scheme's.
            inputs: inputs of the scheme, such as ``loss=…``, with one row per sample in the order of the data set. The
                epoch that it reads is the next one.

        Raises:
            InputError: there is no scheme, or one of its inputs is missing, out of its domain, or without a row for
                every sample.
        """
        if chances is not None:
            self._pending = self._normalize(torch.as_tensor(chances))
            return
        if self.scheme is None:
            raise InputError("this sampler has no scheme: create it with the name of one, or pass chances")
        count = self._id_index.count
        values = {name: check_rows(name, value, count, "the data set") for name, value in inputs.items()}
        next_epoch = self.epoch + (self._position > 0)
        values |= {"epoch": float(next_epoch), "epochs": self.epochs, "generator": self._generator(next_epoch, 1)}
        with torch.no_grad():
            self._pending = self._normalize(self.scheme(values, self.parameters))

    def correction(self, ids: Any, power: float = 1.0) -> Tensor:
        """Return weights for an unbiased estimate of the mean over all samples by the mean over the draws. ``(sample,)``

        With replacement they are 1 / (N P), where P is the chance of the sample in one draw of N samples. Without
        replacement they are draws / (N pi), where pi is the probability that the sample is among the draws, given the
        threshold that the first sample left out was drawn at (Cohen & Kaplan 2007, Summarizing data using bottom-k
        sketches, PODC). Multiply the losses by them and take the mean over the draws of the epoch. Samples without a
        chance are in neither mean.

        Args:
            ids: ids of samples that were drawn in the current epoch, or positions if the sampler has no ids.
            power: between 0, no correction, and 1; prioritised replay raises it over training (Schaul et al. 2016,
                Prioritized experience replay, ICLR).

        Raises:
            InputError: an id is unknown, or has no chance to be drawn.
        """
        numbers = as_ids(ids)
        rows = self._id_index.find_rows(numbers.cpu(), distinct=False)
        assert rows is not None
        chances = self.chances[rows if self._order is None else self._order[rows]]
        if bool((chances == 0).any()):
            raise InputError(f"id {int(numbers[chances.argmin()])} has no chance to be drawn: there is nothing to correct")
        if self.replacement:
            weights = 1 / (self._id_index.count * chances)
        else:
            weights = self.total / (self._id_index.count * -torch.expm1(-chances * self._find_threshold()))
        return weights.pow(power).float().to(numbers.device)

    def state_dict(self, taken: int | None = None) -> dict[str, Any]:
        """Return the position in the draws, for :meth:`load_state_dict`.

        Args:
            taken: number of draws of this rank's pass that training has used; by default those handed out. Pass it if
                the loader has workers, because these ask for batches in advance.
        """
        position = self._position if taken is None else check_int("taken", taken, 0)
        return {
            "epoch": self.epoch,
            "position": position,
            "chances": self.chances,
            "pending": self._pending,
            "seed": self.seed,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned: the next pass is the rest of that epoch, even if it is empty.

        Raises:
            InputError: the state was saved by a sampler with another number of samples.
        """
        if len(state["chances"]) != self._id_index.count:
            raise InputError(
                f"this state has {len(state['chances'])} samples, this sampler has {self._id_index.count}: load the "
                "state of the same data set"
            )
        self.epoch, self.seed = state["epoch"], state["seed"]
        self.chances, self._pending, self._threshold = state["chances"].clone(), state["pending"], None
        self._position = self._resume_at = state["position"]

    def _start_pass(self) -> None:
        if self._resume_at is None:
            self.epoch += self._position == len(self)
            self._position = 0
        self._resume_at = None
        if self._position == 0 and self._pending is not None:
            self.chances, self._pending = self._pending, None

    def _draw(self) -> Tensor:
        """Draw the positions of an epoch for all ranks. ``(draw,)``"""
        generator = self._generator(self.epoch, 0)
        count = len(self.chances)
        if self.replacement:
            ends = self.chances.cumsum(0)
            points = torch.rand(self.total, generator=generator, dtype=torch.float64) * ends[-1]
            # A point that rounding puts at the very end must not fall behind the last sample that has a chance.
            return torch.searchsorted(ends, points, right=True).clamp_(max=int(self.chances.nonzero()[-1]))
        times = torch.empty(count, dtype=torch.float64).exponential_(generator=generator) / self.chances
        order = times.argsort()
        self._threshold = float(times[order[self.total]]) if self.total < count else float("inf")
        return order[: self.total][torch.randperm(self.total, generator=generator)]

    def _find_threshold(self) -> float:
        """Return the exponential time of the first sample that was not drawn."""
        if self._threshold is None:
            self._draw()
        assert self._threshold is not None
        return self._threshold

    def _generator(self, epoch: int, stream: int) -> torch.Generator:
        # Neighbouring seeds give similar random numbers: large odd factors and a second stream keep epochs apart.
        return torch.Generator().manual_seed((self.seed * 0x9E3779B1 + epoch * 0x85EBCA77 + stream * 0xC2B2AE3D) % 2**63)

    def _round_draws(self, draws: int) -> int:
        if self.replacement:
            return -(-draws // self.num_replicas) * self.num_replicas
        total = draws // self.num_replicas * self.num_replicas
        if not total:
            raise InputError(f"draws must be {self.num_replicas} or more, one per rank. Got {draws}")
        return total

    def _normalize(self, values: Tensor) -> Tensor:
        values = values.detach().double().cpu()
        count = self._id_index.count
        if values.shape != (count,):
            raise InputError(f"chances must have the shape ({count},), one per sample. Got {tuple(values.shape)}")
        possible = int((check_nonnegative("chances", values) > 0).sum())
        if possible == 0 or (not self.replacement and possible < self.total):
            raise InputError(
                f"only {possible} samples have a chance above 0, for {self.total} draws: give more samples a chance, "
                "draw fewer, or draw with replacement"
            )
        return values / values.sum()
