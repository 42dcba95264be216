"""``WeightedSampler``: samples drawn by chance instead of weighted in the loss, and the correction that undoes the bias."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

from hardsight.errors import InputError
from hardsight.validation import check_int
from hardsight.weights.scheme import rows_of_all
from hardsight.weights.training.distributed import rank as own_rank
from hardsight.weights.training.distributed import world_size
from hardsight.weights.training.id_index import IdIndex, as_ids
from hardsight.weights.training.sources import check_nonnegative, resolve_source


class WeightedSampler(Sampler[int]):
    """Draws positions of a data set in proportion to chances; for the ``sampler`` of a ``DataLoader``.

    What an epoch draws follows from the seed, the epoch and the chances alone, on every rank alike; each rank goes through
    every so-manieth draw. The next pass after a finished one is the next epoch; ``set_epoch`` says so too. A pass that was
    broken off begins anew, unless :meth:`load_state_dict` said where to go on.

    Without replacement a draw is that of ``numpy.random.choice(…, replace=False, p=…)``: one after the other in proportion
    to the chances of those left; it is then shuffled.

    Attributes:
        epoch: whose draws are, or were last, gone through.
        total: draws in an epoch, of all ranks.
        chances: that these are drawn by, ``(sample,)`` float64, which add up to one.
    """

    def __init__(
        self,
        what: Any,
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
        """Chances in the order of the data set.

        Args:
            what: chances ``(sample,)``, 0 or more, that need not add up to one; a ``Difficulty``, whose chances are
                ``hs.weigh(what, scheme, **parameters)``; or the name of a scheme without state that gives weights or
                chances, which :meth:`update` computes; until then all are alike.
            num_samples: of the data set; only with a scheme.
            ids: of the samples, whole numbers ``(sample,)``; 0, 1, … where not given.
            epochs: in all, for schemes that read how many.
            draws: in an epoch, of all ranks; as many as there are samples where not given. With several ranks, the next
                multiple of their number, and without replacement the last.
            replacement: whether a sample can be drawn again.
            scheme: with a difficulty, what makes weights of it; "auto" where not given.
            seed: of the draws.
            rank: of this process; as ``torch.distributed`` has it where not given, 0 without.
            num_replicas: how many ranks; likewise.
            parameters: the scheme's own.

        Raises:
            InputError: chances below zero or all zero, more draws without replacement than samples that can be drawn, a
                scheme that cannot be used here, or a rank that does not exist.
        """
        told = resolve_source(what, ids, scheme, parameters)
        self.scheme, self.parameters, self.epochs = told.scheme, parameters, epochs
        if told.scheme is not None and (
            told.scheme.start is not None or told.scheme.kind not in ("weights", "sampling")
        ):
            raise InputError(
                f"scheme {told.scheme.name!r} finds no chances from losses alone: use hs.Weighting, or let the loop find "
                f"chances by hs.weights.{told.scheme.function.__name__} and give them to sampler.update(chances)"
            )
        if told.weights is None and num_samples is None and ids is None:
            raise InputError("how many samples there are is not known: pass num_samples= or ids=")
        count = None if told.weights is None else len(told.weights)
        self._known = IdIndex(num_samples if count is None else count, told.ids)
        self._order = None if told.ids is None else as_ids(told.ids).argsort()
        self.replacement, self.seed = replacement, check_int("seed", seed, 0)
        self.num_replicas = check_int("num_replicas", world_size() if num_replicas is None else num_replicas, 1)
        self.rank = check_int("rank", own_rank() if rank is None else rank, 0)
        if self.rank >= self.num_replicas:
            raise InputError(f"rank must be below num_replicas, {self.num_replicas}. Got {self.rank}")
        self.total = self._rounded(check_int("draws", self._known.count if draws is None else draws, 1))
        self.chances = self._shares(torch.ones(self._known.count) if told.weights is None else told.weights)
        self._pending: Tensor | None = None
        self._rate: float | None = None
        self.epoch, self._position = 0, 0
        self._resume_at: int | None = None

    def __len__(self) -> int:
        return self.total // self.num_replicas

    def __iter__(self) -> Iterator[int]:
        self._begin()
        for position in self._draw()[self.rank :: self.num_replicas][self._position :].tolist():
            self._position += 1
            yield position

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass is of; a pass that a loaded state broke off goes on if it is that epoch's."""
        if epoch != self.epoch or self._resume_at is None:
            self.epoch, self._position, self._resume_at = check_int("epoch", epoch, 0), 0, None

    def update(self, chances: Any = None, **inputs: Any) -> None:
        """Find the chances of the epochs to come by the scheme, or take others; the epoch that is going on keeps its own.

        Args:
            chances: of all samples, ``(sample,)``, in place of the scheme's.
            inputs: what the scheme reads, such as ``loss=…``, a row for each sample in the order of the data set. The epoch
                that it reads is the first of those to come.

        Raises:
            InputError: there is no scheme, or what it reads is missing, out of its domain, or not of every sample.
        """
        if chances is not None:
            self._pending = self._shares(torch.as_tensor(chances))
            return
        if self.scheme is None:
            raise InputError("this sampler has no scheme: make it with the name of one, or pass chances")
        told = {name: rows_of_all(name, value, self._known.count, "the data set") for name, value in inputs.items()}
        to_come = self.epoch + (self._position > 0)
        of_all = {"epoch": float(to_come), "epochs": self.epochs, "generator": self._generator(to_come, 1)}
        with torch.no_grad():
            self._pending = self._shares(self.scheme.of(told | of_all, self.parameters))

    def correction(self, ids: Any, power: float = 1.0) -> Tensor:
        """Weights that make the mean over what is drawn an unbiased estimate of the mean over all samples. ``(sample,)``

        With replacement 1 / (N P), where P is the chance of the sample in one draw of N samples. Without, draws / (N pi),
        where pi is the probability that the sample is among the draws given how late the first one was that is not
        (Cohen & Kaplan 2007, Summarizing data using bottom-k sketches, PODC). Multiply the losses by it and take the mean
        over the draws of the epoch. Samples that can never be drawn are left out of both means' reach.

        Args:
            ids: of samples that were drawn in the present epoch, or positions where the sampler has no ids.
            power: between 0, no correction, and 1; prioritised replay raises it over training (Schaul et al. 2016,
                Prioritized experience replay, ICLR).

        Raises:
            InputError: an unknown id, or one that cannot be drawn.
        """
        found = as_ids(ids)
        at = self._known.rows(found.cpu(), distinct=False)
        assert at is not None
        at = at if self._order is None else self._order[at]
        chances = self.chances[at]
        if bool((chances == 0).any()):
            raise InputError(
                f"id {int(found[chances.argmin()])} has no chance to be drawn: there is nothing to correct"
            )
        if self.replacement:
            drawn = 1 / (self._known.count * chances)
        else:
            drawn = self.total / (self._known.count * -torch.expm1(-chances * self._first_left()))
        return drawn.pow(power).float().to(found.device)

    def state_dict(self, taken: int | None = None) -> dict[str, Any]:
        """Where the draws stand, for :meth:`load_state_dict`.

        Args:
            taken: draws of this rank's pass that training has used; those handed out where not given. A loader with workers
                asks for some batches in advance, so that this must be told there.
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
        """Take up where :meth:`state_dict` stood: the next pass is what was left of the epoch, were it nothing.

        Raises:
            InputError: it was saved by a sampler of another number of samples.
        """
        if len(state["chances"]) != self._known.count:
            raise InputError(f"this state is of {len(state['chances'])} samples, this sampler of {self._known.count}")
        self.epoch, self.seed = state["epoch"], state["seed"]
        self.chances, self._pending, self._rate = state["chances"].clone(), state["pending"], None
        self._position = self._resume_at = state["position"]

    def _begin(self) -> None:
        if self._resume_at is None:
            self.epoch += self._position == len(self)
            self._position = 0
        self._resume_at = None
        if self._position == 0 and self._pending is not None:
            self.chances, self._pending = self._pending, None

    def _draw(self) -> Tensor:
        generator = self._generator(self.epoch, 0)
        count = len(self.chances)
        if self.replacement:
            ends = self.chances.cumsum(0)
            where = torch.rand(self.total, generator=generator, dtype=torch.float64) * ends[-1]
            # A number that rounding puts at the very end must not land behind the last sample that can be drawn.
            return torch.searchsorted(ends, where, right=True).clamp_(max=int(self.chances.nonzero()[-1]))
        late = torch.empty(count, dtype=torch.float64).exponential_(generator=generator) / self.chances
        order = late.argsort()
        self._rate = float(late[order[self.total]]) if self.total < count else float("inf")
        return order[: self.total][torch.randperm(self.total, generator=generator)]

    def _first_left(self) -> float:
        if self._rate is None:
            self._draw()
        assert self._rate is not None
        return self._rate

    def _generator(self, epoch: int, stream: int) -> torch.Generator:
        # Neighbouring numbers seed alike streams: a large odd factor and a second stream keep epochs apart.
        return torch.Generator().manual_seed(
            (self.seed * 0x9E3779B1 + epoch * 0x85EBCA77 + stream * 0xC2B2AE3D) % 2**63
        )

    def _rounded(self, draws: int) -> int:
        if self.replacement:
            return -(-draws // self.num_replicas) * self.num_replicas
        total = draws // self.num_replicas * self.num_replicas
        if not total:
            raise InputError(f"draws must be {self.num_replicas} or more, one a rank. Got {draws}")
        return total

    def _shares(self, values: Tensor) -> Tensor:
        values = values.detach().double().cpu()
        if values.shape != (self._known.count,):
            raise InputError(
                f"chances have the shape {tuple(values.shape)}, there are {self._known.count} samples: one each"
            )
        possible = int((check_nonnegative("chances", values) > 0).sum())
        if possible == 0 or (not self.replacement and possible < self.total):
            raise InputError(
                f"{possible} samples have a chance above 0, for {self.total} draws: give more samples a chance, draw fewer, "
                "or draw with replacement"
            )
        return values / values.sum()
