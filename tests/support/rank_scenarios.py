"""The work of two processes in ``tests/weights/training/test_two_ranks.py``: draws, tables, epochs."""

import warnings

import torch
from torch import distributed
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, RandomSampler, TensorDataset

import hardsight as hs
from support.ranks import announce_rank

RANKS, SAMPLES, BATCH = 2, 24, 4
WEIGHTS = torch.linspace(0.5, 2, SAMPLES)


class HalvingSampler(RandomSampler):
    """A user's own sampler that divides the draws of another one."""

    def __init__(self, sampler, rank):
        super().__init__(sampler)
        self.sampler, self.rank, self.world_size = sampler, rank, RANKS

    def __len__(self):
        return len(self.sampler) // RANKS

    def __iter__(self):
        yield from list(self.sampler)[self.rank :: RANKS]


def make_data():
    return hs.indexed(TensorDataset(torch.arange(SAMPLES)))


def make_loader(sampler, **more):
    return DataLoader(make_data(), batch_size=BATCH, sampler=sampler, **more)


def read_ids(loader):
    return [batch[1].tolist() for batch in loader]


def through_accelerate(sampler, **options):
    """Return the batches of two epochs, and the length of the loader, as accelerate divides them."""
    from accelerate import Accelerator, DataLoaderConfiguration

    batch_sampler = options.pop("batch_sampler", False)
    more = {name: options.pop(name) for name in ("num_workers", "persistent_workers") if name in options}
    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(**options))
    if batch_sampler:
        loader = DataLoader(make_data(), batch_sampler=BatchSampler(sampler, BATCH, drop_last=False))
    else:
        loader = make_loader(sampler, **more)
    prepared = accelerator.prepare(loader)
    return len(prepared), [read_ids(prepared) for _ in range(2)]


ACCELERATE = {
    "plain": {},
    "split batches": {"split_batches": True},
    "uneven batches": {"even_batches": False},
    "dispatched": {"dispatch_batches": True},
    "not seedable": {"use_seedable_sampler": False},
    "batch sampler": {"batch_sampler": True},
    "workers": {"num_workers": 1, "persistent_workers": True},
}


def through_lightning(sampler):
    """Return the batches of two epochs that Lightning's training steps see."""
    import pytorch_lightning

    seen = []

    class Model(pytorch_lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Linear(1, 1)

        def training_step(self, batch, _):
            seen.append(batch[1].tolist())
            return self.net(batch[0][:, None].float()).sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.0)

    trainer = pytorch_lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        devices=RANKS,
        strategy="ddp",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Model(), make_loader(sampler))
    return seen


def refuse_twice(rank):
    """Return what is said if the sampler takes the part of a rank and accelerate divides it again."""
    from accelerate import Accelerator

    sampler = hs.WeightedSampler(WEIGHTS, rank=rank, num_replicas=RANKS)
    try:
        read_ids(Accelerator(cpu=True).prepare(make_loader(sampler)))
    except hs.InputError as error:
        return str(error)
    return None


def corrections_when_dispatched():
    """Return the corrections of a sampler whose chances change between epochs, and whose batches rank 0 draws for all."""
    from accelerate import Accelerator, DataLoaderConfiguration

    sampler = hs.WeightedSampler(WEIGHTS, 11, replacement=False)
    dispatched = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(dispatch_batches=True))
    loader = dispatched.prepare(make_loader(sampler))
    read_ids(loader)
    sampler.update(WEIGHTS.flip(0))
    iterator = iter(loader)
    return [sampler.correction(ids) for _, ids in iterator]


def resume_under_accelerate():
    """Return the batches after a stop, and those of the epoch that was not stopped."""
    from accelerate import Accelerator

    def prepare():
        sampler = hs.WeightedSampler(WEIGHTS, seed=4)
        return sampler, Accelerator(cpu=True).prepare(make_loader(sampler))

    sampler, loader = prepare()
    straight = read_ids(loader)
    sampler, loader = prepare()
    next(iter(loader))
    state = sampler.state_dict(taken=BATCH)
    sampler, loader = prepare()
    sampler.load_state_dict(state)
    return read_ids(loader), straight[1:]


def change_table(rank, weighting):
    """Take a step that changes one row of a table, and return the table."""
    logits = torch.tensor([[0.5, -0.5]], requires_grad=True)
    weighting(logits=logits, labels=torch.tensor([0]), ids=torch.tensor([rank]))
    return weighting.scheme_state.target.clone()


def skip_first_batches():
    """Return the batches of the second epoch without its first one, as accelerate skips it, and the whole epoch."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    loader = accelerator.prepare(make_loader(hs.WeightedSampler(WEIGHTS, seed=1)))
    straight = [read_ids(loader) for _ in range(2)][1]
    again = accelerator.prepare(make_loader(hs.WeightedSampler(WEIGHTS, seed=1)))
    rest = accelerator.skip_first_batches(again, 1)
    rest.set_epoch(1)
    return read_ids(rest), straight


def count_steps(weighting, loader, steps):
    """Return how many samples of each step count on this rank."""
    counted = []
    for _, (_, ids) in zip(range(steps), loader, strict=False):
        loss = torch.ones(len(ids), requires_grad=True)
        weighting(loss, ids).backward()
        counted.append(int((loss.grad != 0).sum()))
    return counted


def stop_and_begin_again():
    """Return how many samples count in each step of an epoch that begins again after a stop, in several orders."""
    counted = {}
    for epoch in (0, 1):
        weighting = hs.Weighting("focal", num_samples=SAMPLES)
        for done in range(epoch + 1):
            weighting.set_epoch(done)
            count_steps(weighting, DataLoader(make_data(), BATCH, sampler=order_samples(0)), 99 if done < epoch else 2)
        for order in (0, 5):
            again = hs.Weighting("focal", num_samples=SAMPLES)
            again.load_state_dict(weighting.state_dict())
            again.set_epoch(epoch)
            counted[epoch, order] = count_steps(again, DataLoader(make_data(), BATCH, sampler=order_samples(order)), 99)
    return counted


def order_samples(seed):
    return DistributedSampler(range(SAMPLES), seed=seed)


def share_views(rank, repeated):
    """Return how many views of this rank count, and what is said, if both ranks have views of the same samples."""
    weighting = hs.Weighting(WEIGHTS[:8], repeated=repeated)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        losses = torch.ones(8, requires_grad=True)
        weighting.set_epoch(0)
        weighting(losses, torch.arange(16)[rank::RANKS] // 2).backward()
    return int((losses.grad != 0).sum()), [str(warning.message) for warning in given]


def validate_between(rank):
    """Return the losses of a validation without gradient, and how many samples count in the steps around it."""
    weighting = hs.Weighting(WEIGHTS)
    weighting.set_epoch(0)
    ids = torch.arange(SAMPLES)[rank::RANKS]
    before = count_steps(weighting, [(None, ids[:4])], 1)
    with torch.no_grad():
        validation = weighting(torch.tensor([1.0, 3.0]), torch.tensor([999, 1]))
    return float(validation), before + count_steps(weighting, [(None, ids[4:8])], 1)


def run_rank(rank, folder, port, weighting):
    """Run one of the processes, and save its results in a file."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    announce_rank(rank, RANKS, port)
    early = hs.WeightedSampler(WEIGHTS, seed=1)
    results = {"table": change_table(rank, weighting)}
    distributed.init_process_group("gloo")
    results |= {
        "early": (len(early), [list(early) for _ in range(2)]),
        "whole": list(hs.WeightedSampler(WEIGHTS, seed=1, num_replicas=1)),
        "wrapped": list(HalvingSampler(hs.WeightedSampler(WEIGHTS, seed=1), rank)),
        "lightning": through_lightning(hs.WeightedSampler(WEIGHTS, seed=1)),
        "twice": refuse_twice(rank),
        "dispatched corrections": corrections_when_dispatched(),
        "begun again": stop_and_begin_again(),
        "skipped": skip_first_batches(),
        "views": {repeated: share_views(rank, repeated) for repeated in (None, "refuse", "skip", "count")},
        "validation": validate_between(rank),
        "resumed": resume_under_accelerate(),
    }
    for name, options in ACCELERATE.items():
        results["accelerate", name] = through_accelerate(hs.WeightedSampler(WEIGHTS, seed=1), **options)
    torch.save(results, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()
