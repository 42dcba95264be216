"""``WeightedSampler``: samples drawn at random instead of weighted in the loss, and the correction of the bias."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DistributedSampler

from hardsight.errors import HardsightWarning, InputError
from hardsight.validation import check_int
from hardsight.weights import Scheme
from hardsight.weights.inputs import as_plain_array, check_rows
from hardsight.weights.training import distributed
from hardsight.weights.training.id_index import IdIndex, as_ids
from hardsight.weights.training.sources import Source, check_nonnegative, resolve_source


class WeightedSampler(DistributedSampler[int]):
    """A sampler that draws positions of a data set in proportion to chances; for the ``sampler`` of a ``DataLoader``.

    It takes the arguments of ``torch.utils.data.WeightedRandomSampler``. The draws of an epoch follow from the seed, the
    epoch and the chances alone, alike on every rank; rank r of R goes through every R-th draw. The pass after a finished
    one is the next epoch; ``set_epoch`` can choose another. A pass that was broken off starts again, unless
    :meth:`load_state_dict` said where to go on.

    Rank and number of ranks are looked up when a pass starts. Libraries that divide the draws among ranks by a
    ``DistributedSampler`` (Lightning, Ray Train, Ignite) leave this one alone, because it is one. Accelerate divides the
    batches of any sampler: if it, or another sampler around this one, does so, every rank draws the whole epoch.

    Without replacement, samples are drawn as by ``numpy.random.choice(…, replace=False, p=…)``: one after the other in
    proportion to the chances of the samples that are left. The draws are then shuffled.

    Attributes:
        epoch: epoch of the current pass, or of the last one.
        draws: number of draws in an epoch, of all ranks, before it is rounded for them.
        chances: chances of the current draws, ``(sample,)`` float64, which add up to one.
        rank: rank whose part of the draws the last pass went through.
        num_replicas: number of ranks among which the sampler itself divided the draws of the last pass.
    """

    def __init__(
        self,
        source: Any,
        num_samples: int | None = None,
        replacement: bool = True,
        generator: torch.Generator | None = None,
        *,
        dataset_size: int | None = None,
        ids: Any = None,
        epochs: float | None = None,
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
            num_samples: number of draws in an epoch, of all ranks; by default the size of the data set. Where the sampler
                divides them among several ranks, it is rounded up to a multiple of their number, without replacement
                down, with a warning.
            replacement: whether a sample can be drawn again.
            generator: source of the seed, which is drawn from it at once; in place of ``seed``.
            dataset_size: number of samples in the data set; needed with a scheme unless there are ids.
            ids: ids of the samples, integers ``(sample,)``; 0, 1, … by default.
            epochs: number of epochs in all, for schemes that read it.
            scheme: with a difficulty, the scheme that makes weights of it; "auto" by default.
            seed: seed of the draws.
            rank: rank of this process; by default that of ``torch.distributed``, 0 without it.
            num_replicas: number of ranks; by default that of ``torch.distributed``, 1 without it. 1: draw the whole
                epoch on every rank.
            parameters: the scheme's own parameters.

        Raises:
            InputError: a chance is negative or all are zero, there are more draws without replacement than samples with
                a chance, the scheme cannot be used here, or the rank does not exist.
        """
        # Nothing of DistributedSampler but its type is of use: it reads the rank now, and permutes a data set.
        resolved = resolve_source(source, ids, scheme, parameters)
        _check_scheme(resolved.scheme)
        self.scheme, self.parameters, self.epochs = resolved.scheme, parameters, epochs
        self._id_index = IdIndex(_find_dataset_size(resolved, dataset_size), resolved.ids)
        # Ids are sorted in the index; chances are in the order of the data set.
        self._order = None if resolved.ids is None else as_ids(resolved.ids).argsort()
        count = self._id_index.count
        self.draws = count if num_samples is None else check_int("num_samples", num_samples, 1)
        if not isinstance(replacement, bool):
            raise InputError(f"replacement must be True or False. Got {replacement!r}")
        self.replacement, self.seed = replacement, _choose_seed(seed, generator)
        self._rank = None if rank is None else check_int("rank", rank, 0)
        self._num_replicas = None if num_replicas is None else check_int("num_replicas", num_replicas, 1)
        # Whether something around this sampler divides the draws among ranks.
        self._divided_outside = False
        if self._num_replicas is not None:
            self._look_up_rank()
        self.rank, self.num_replicas = 0, 1
        self.chances = self._normalize(torch.ones(count) if resolved.weights is None else resolved.weights)
        self._pending: Tensor | None = None
        self._threshold: float | None = None
        # The number of draws of all ranks that were handed out, and the number of passes that were started.
        self.epoch, self._position, self._passes = 0, 0, 0
        self._resumes = False

    @property
    def total(self) -> int:
        """The number of draws in an epoch, of all ranks."""
        return self._round_draws(self._look_up_rank()[1])

    def __len__(self) -> int:
        self._divided_outside |= self._find_divider()
        replicas = self._look_up_rank()[1]
        return self._round_draws(replicas) // replicas

    def __iter__(self) -> Iterator[int]:
        self._divided_outside = self._find_divider()
        epoch = distributed.find_loader_epoch()
        if epoch is not None:
            self.set_epoch(epoch)
        self._start_pass()
        self._passes += 1
        this_pass, step = self._passes, self.num_replicas
        for position in self._draw()[self._position + self.rank :: step].tolist():
            # An older iterator that still runs does not move the newer one's position.
            if this_pass == self._passes:
                self._position += step
            yield position

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next pass; a pass that a loaded state broke off goes on if it is of that epoch."""
        self._divided_outside |= self._find_divider()
        if epoch != self.epoch or not self._resumes:
            self.epoch, self._position, self._resumes = check_int("epoch", epoch, 0), 0, False
            # Where accelerate dispatches batches, the other ranks start no pass, but they correct its draws.
            self._take_pending()

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
            is_tensor = isinstance(chances, Tensor)
            self._pending = self._normalize(chances if is_tensor else torch.from_numpy(as_plain_array(np.asarray(chances))))
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
            taken: number of draws that training has used on this rank in this pass; by default those handed out. Pass it
                if the loader asks for batches in advance, as loaders with workers and those of accelerate do.
        """
        position = self._position
        if taken is not None:
            position = check_int("taken", taken, 0) * (self._num_replicas or distributed.world_size())
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
        self._position, self._resumes = state["position"], True

    def _start_pass(self) -> None:
        self.rank, self.num_replicas = self._look_up_rank()
        total = self._round_draws(self.num_replicas)
        if not self._resumes:
            self.epoch += self._position >= total
            self._position = 0
        self._resumes = False
        if self._position == 0:
            self._take_pending()
        if total < self.draws and self.rank == 0:
            warnings.warn(
                f"{self.draws} draws without replacement do not divide among {self.num_replicas} ranks: {total} are "
                "drawn; pass num_samples= a multiple of the number of ranks",
                HardsightWarning,
                stacklevel=3,
            )

    def _take_pending(self) -> None:
        if self._pending is not None:
            self.chances, self._pending, self._threshold = self._pending, None, None

    def _find_divider(self) -> bool:
        """Whether something that iterates over this sampler divides the draws among ranks.

        Raises:
            InputError: it does, and this sampler was told to take the part of a rank as well.
        """
        if (self._num_replicas or distributed.world_size()) == 1:
            return False
        divider = distributed.find_divider(self)
        if divider is not None and (self._num_replicas or 1) > 1:
            raise InputError(
                f"the draws would be divided among the ranks twice, by this sampler and by {divider}: leave rank= and "
                "num_replicas= out"
            )
        return divider is not None

    def _look_up_rank(self) -> tuple[int, int]:
        """Return the rank of this process, and the number of ranks, as far as this sampler divides the draws."""
        if self._divided_outside:
            return 0, 1
        replicas = distributed.world_size() if self._num_replicas is None else self._num_replicas
        # One replica: every rank draws the whole epoch.
        rank = self._rank if self._rank is not None else distributed.rank() if replicas > 1 else 0
        if rank >= replicas:
            raise InputError(f"rank must be below num_replicas, {replicas}. Got {rank}")
        return rank, replicas

    def _draw(self) -> Tensor:
        """Draw the positions of an epoch for all ranks. ``(draw,)``"""
        generator = self._generator(self.epoch, 0)
        count, total = len(self.chances), self.total
        if self.replacement:
            ends = self.chances.cumsum(0)
            points = torch.rand(total, generator=generator, dtype=torch.float64) * ends[-1]
            # A point that rounding puts at the very end must not fall behind the last sample that has a chance.
            return torch.searchsorted(ends, points, right=True).clamp_(max=int(self.chances.nonzero()[-1]))
        times = torch.empty(count, dtype=torch.float64).exponential_(generator=generator) / self.chances
        order = times.argsort()
        self._threshold = float(times[order[total]]) if total < count else float("inf")
        return order[:total][torch.randperm(total, generator=generator)]

    def _find_threshold(self) -> float:
        """Return the exponential time of the first sample that was not drawn."""
        if self._threshold is None:
            self._draw()
        assert self._threshold is not None
        return self._threshold

    def _generator(self, epoch: int, stream: int) -> torch.Generator:
        # Neighbouring seeds give similar random numbers: large odd factors and a second stream keep epochs apart.
        return torch.Generator().manual_seed((self.seed * 0x9E3779B1 + epoch * 0x85EBCA77 + stream * 0xC2B2AE3D) % 2**63)

    def _round_draws(self, replicas: int) -> int:
        if self.replacement:
            return -(-self.draws // replicas) * replicas
        total = self.draws // replicas * replicas
        if not total:
            raise InputError(f"num_samples must be {replicas} or more, one per rank. Got {self.draws}")
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


def _check_scheme(scheme: Scheme | None) -> None:
    if scheme is not None and (scheme.init is not None or scheme.kind not in ("weights", "sampling")):
        raise InputError(
            f"scheme {scheme.name!r} cannot compute chances from losses alone: use hs.Weighting, or compute chances in "
            f"the loop by hs.weights.{scheme.function.__name__} and pass them to sampler.update(chances)"
        )


def _find_dataset_size(source: Source, dataset_size: int | None) -> int:
    """Return the number of samples in the data set: that of the weights, of the ids, or the one given."""
    rows = source.ids if source.weights is None else source.weights
    if rows is None:
        if dataset_size is None:
            raise InputError(
                "the size of the data set is unknown: pass dataset_size= or ids=; num_samples= is the number of draws"
            )
        return check_int("dataset_size", dataset_size, 1)
    if dataset_size not in (None, len(rows)):
        name = "ids" if source.weights is None else "weights"
        raise InputError(f"dataset_size is {dataset_size}, but there are {len(rows)} {name}: leave dataset_size out")
    return len(rows)


def _choose_seed(seed: int, generator: torch.Generator | None) -> int:
    if generator is None:
        return check_int("seed", seed, 0)
    if seed:
        raise InputError("seed and generator both fix the draws: pass only one of them")
    if not isinstance(generator, torch.Generator):
        raise InputError(f"generator must be a torch.Generator. Got {type(generator).__name__}")
    drawn = torch.empty((), dtype=torch.int64, device=generator.device).random_(generator=generator)
    return int(drawn)
