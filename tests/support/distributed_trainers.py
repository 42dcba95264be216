"""The two processes of ``tests/integrations/test_distributed_trainers.py``, and the batches of both in one process."""

import warnings

import torch
from torch import distributed
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import hardsight as hs
from support import example_schemes
from support.ranks import announce_rank

RANKS, TEXTS, POINTS = 2, 15, 13
"""Neither number divides into batches of two ranks: the loaders pad."""
_WEIGHTS = torch.linspace(0.2, 3, TEXTS)
TRAINERS = {
    "fixed": (_WEIGHTS, {}, {}),
    "fixed accumulated": (_WEIGHTS, {}, {"gradient_accumulation_steps": 2}),
    "weighted mean": (_WEIGHTS, {"reduction": "weighted mean"}, {}),
    "weighted mean accumulated": (_WEIGHTS, {"reduction": "weighted mean"}, {"gradient_accumulation_steps": 2}),
    "stateful": ("t-running", {"num_samples": TEXTS}, {}),
    "batch-relative": ("t-tilted", {"num_samples": TEXTS, "t": 1.5}, {}),
    "tokens": (_WEIGHTS, {}, {"sequence": "tokens"}),
    "tokens accumulated": (_WEIGHTS, {}, {"sequence": "tokens", "gradient_accumulation_steps": 2}),
    "sequences stateful": ("t-running", {"num_samples": TEXTS}, {"sequence": "mean"}),
}
LIGHTNING = {
    "fixed": (_WEIGHTS[:POINTS], {}),
    "stateful": ("t-running", {"num_samples": POINTS}),
    "stateful weighted mean": ("t-running-mean", {"num_samples": POINTS}),
    "batch-relative": ("t-tilted", {"num_samples": POINTS, "t": 1.5}),
}


def collect_results(model, weighting, losses):
    """Return everything that must agree; one process skips no padding."""
    state = weighting.state_dict()
    state = {name: value for name, value in state.items() if not name.startswith("seen.")}
    return {"model": [p.detach().clone() for p in model.parameters()], "weighting": state, "losses": losses}


def train_by_trainer(case, folder, ranks):
    """Train two epochs by a Trainer; the batch of all ranks together is four."""
    from transformers import DataCollatorForLanguageModeling

    from hardsight.integrations.huggingface import WeightedTrainer
    from support.tiny_text_models import Bigrams, arguments, bert, reviews, tokenizer

    source, arguments_of_weighting, trainer_arguments = TRAINERS[case]
    sequence_arguments = {name: value for name, value in trainer_arguments.items() if name == "sequence"}
    language = bool(sequence_arguments)
    data = reviews(TEXTS)
    torch.manual_seed(0)
    weighting = hs.Weighting(source, **arguments_of_weighting)
    trainer = WeightedTrainer(
        Bigrams() if language else bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0),
        arguments(
            folder,
            max_steps=-1,
            num_train_epochs=2,
            per_device_train_batch_size=4 // ranks,
            logging_steps=1,
            ddp_find_unused_parameters=False,
            **{name: value for name, value in trainer_arguments.items() if name not in sequence_arguments},
        ),
        train_dataset=hs.indexed(data.remove_columns("label") if language else data),
        data_collator=DataCollatorForLanguageModeling(tokenizer(), mlm=False) if language else None,
        processing_class=tokenizer(),
        weighting=weighting,
        **sequence_arguments,
    )
    trainer.train()
    losses = [each["loss"] for each in trainer.state.log_history if "loss" in each]
    return collect_results(trainer.model, weighting, torch.tensor([float(loss) for loss in losses]))


def train_by_lightning(case, folder, ranks):
    """Train two epochs by Lightning; the batch of all ranks together is four."""
    import pytorch_lightning

    from hardsight.integrations.lightning import WeightingCallback

    source, arguments_of_weighting = LIGHTNING[case]
    weighting = hs.Weighting(source, **arguments_of_weighting)
    losses = []

    class Model(pytorch_lightning.LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))

        def training_step(self, batch, _):
            x, y, ids = batch
            loss = weighting(cross_entropy(self.net(x), y, reduction="none"), ids)
            losses.append(loss.detach())
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.5, momentum=0.5)

    trainer = pytorch_lightning.Trainer(
        max_epochs=2,
        callbacks=[WeightingCallback(weighting)],
        default_root_dir=folder,
        accelerator="cpu",
        devices=ranks,
        strategy="ddp" if ranks > 1 else "auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    generator = torch.Generator().manual_seed(0)
    data = TensorDataset(torch.randn(POINTS, 3, generator=generator), torch.arange(POINTS) % 2)
    module = Model()
    # Lightning distributes the samples to its processes by such a sampler, in this order.
    order = DistributedSampler(data, 1, 0) if ranks == 1 else None
    trainer.fit(module, DataLoader(hs.indexed(data), batch_size=4 // ranks, sampler=order))
    return collect_results(module, weighting, torch.stack(losses))


def run_rank(rank, folder, port, library):
    """Run one of the processes, and save its results in a file."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    example_schemes.register()
    announce_rank(rank, RANKS, port)
    cases, train = (TRAINERS, train_by_trainer) if library == "trainer" else (LIGHTNING, train_by_lightning)
    torch.save({case: train(case, folder, RANKS) for case in cases}, folder / f"{rank}.pt")
    distributed.destroy_process_group()
