"""The Trainer weights the loss of the model itself, whatever it is: against the plain Trainer, and sample by sample."""

import numpy as np
import pytest
import torch
from support import model_families
from support.tiny_text_models import arguments
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import Trainer, default_data_collator

import hardsight as hs
from hardsight.integrations.huggingface import WeightedTrainer

pytestmark = pytest.mark.usefixtures("frozen_objects")

N = model_families.N_SAMPLES
WEIGHTS = np.array([3.0, 0, 1, 0.5, 2, 1, 0.25, 4])
ONES = np.ones(N)
# Models that divide their loss by the items of all micro-batches, so that the Trainer's own accumulation is exact.
EXACT = ("causal", "router loss")
# The loss of a batch is not a mean over its samples, or a mean of other sizes than the labels.
NOT_ADDITIVE = (
    "answers outside", "class weights", "encoder-decoder with routers", "learned factor", "router loss", "two heads",
)  # fmt: skip


def step(model, dataset, folder, weighting=None, *, accumulate=1, compute_loss_func=None, **changes):
    """Return the change of the parameters by one step of plain descent on all samples."""
    before = parameters(model)
    kind, more = (Trainer, {}) if weighting is None else (WeightedTrainer, {"weighting": weighting})
    args = arguments(
        folder,
        max_steps=1,
        per_device_train_batch_size=N // accumulate,
        gradient_accumulation_steps=accumulate,
        logging_strategy="no",
        **changes,
    )
    more |= {"data_collator": default_data_collator, "compute_loss_func": compute_loss_func}
    kind(model, args, train_dataset=dataset, **more).train()
    return parameters(model) - before


def parameters(model):
    return torch.cat([p.detach().flatten().clone() for p in model.parameters()])


@pytest.mark.parametrize(
    ("name", "accumulate"), [*((name, 1) for name in model_families.FAMILIES), *((name, 4) for name in EXACT)]
)
def test_weights_of_one_are_the_plain_trainer(tmp_path, name, accumulate):
    data = model_families.data(name)
    plain = step(model_families.make(name), data, tmp_path, accumulate=accumulate)
    ones = step(model_families.make(name), hs.indexed(data), tmp_path, hs.Weighting(ONES), accumulate=accumulate)
    assert plain.abs().max() > 1e-3
    torch.testing.assert_close(ones, plain, rtol=1e-4, atol=1e-6 * float(plain.abs().max()))


def own_losses(model, dataset):
    """Return the model's own loss of each sample by itself, and its number of labels."""
    losses, counts = [], []
    for row in dataset:
        batch = {name: torch.tensor([value]) for name, value in row.items()}
        batch = {name: value.double() if value.is_floating_point() else value for name, value in batch.items()}
        output = model(**batch)
        losses.append(output["loss"] if isinstance(output, dict) else output[0])
        labels = batch.get("labels", torch.zeros(1))
        if isinstance(model, type(model_families.make("causal"))):
            labels = labels[:, 1:]
        counts.append(int((labels != -100).sum()) if labels.ndim > 1 and not labels.is_floating_point() else 1)
    return torch.stack(losses), torch.tensor(counts)


@pytest.mark.parametrize("name", [name for name in model_families.FAMILIES if name not in NOT_ADDITIVE])
@pytest.mark.parametrize("accumulate", [1, 4])
def test_a_weight_multiplies_the_own_loss_of_its_sample(tmp_path, name, accumulate):
    data = model_families.data(name)
    by_hand = model_families.make(name).double()
    losses, counts = own_losses(by_hand.train(), data)
    loss = (torch.tensor(WEIGHTS) * counts * losses).sum() / counts.sum()
    gradients = torch.autograd.grad(loss, list(by_hand.parameters()), allow_unused=True, materialize_grads=True)
    expected = -0.1 * torch.cat([gradient.flatten() for gradient in gradients]).float()
    weighted = step(model_families.make(name), hs.indexed(data), tmp_path, hs.Weighting(WEIGHTS), accumulate=accumulate)
    torch.testing.assert_close(weighted, expected, rtol=1e-4, atol=3e-7)


def test_class_weights_of_the_model_multiply_with_those_of_the_samples(tmp_path):
    data = model_families.data("class weights")
    model = model_families.make("class weights")
    logits, labels = model(torch.tensor(data["input_ids"]), labels=torch.tensor(data["labels"]))[1], data["labels"]
    classes = torch.tensor([1.0, 4.0, 9.0])
    losses = cross_entropy(logits, torch.tensor(labels), weight=classes, label_smoothing=0.1, reduction="none")
    loss = (torch.tensor(WEIGHTS).float() * losses).sum() / classes[torch.tensor(labels)].sum()
    gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, materialize_grads=True)
    expected = -0.1 * torch.cat([gradient.flatten() for gradient in gradients])
    weighted = step(model_families.make("class weights"), hs.indexed(data), tmp_path, hs.Weighting(WEIGHTS))
    torch.testing.assert_close(weighted, expected, rtol=1e-4, atol=1e-6)


def test_the_router_loss_is_that_of_the_batch_and_has_no_weight(tmp_path):
    data = model_families.data("router loss")
    model = model_families.make("router loss")
    tokens, labels = torch.tensor(data["input_ids"]), torch.tensor(data["labels"])
    output = model(input_ids=tokens, labels=labels)
    losses = cross_entropy(output.logits[:, :-1].transpose(1, 2), labels[:, 1:], reduction="none")
    weighted = torch.tensor(WEIGHTS).float() @ losses.sum(1) / (labels[:, 1:] != -100).sum()
    gradients = torch.autograd.grad(weighted + output.aux_loss, list(model.parameters()))
    expected = -0.1 * torch.cat([gradient.flatten() for gradient in gradients])
    by_trainer = step(model_families.make("router loss"), hs.indexed(data), tmp_path, hs.Weighting(WEIGHTS))
    torch.testing.assert_close(by_trainer, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["causal", "classes", "encoder-decoder"])
def test_label_smoothing_is_that_of_the_plain_trainer(tmp_path, name):
    data = model_families.data(name)
    if name == "encoder-decoder":
        data = data.add_column("decoder_input_ids", data["input_ids"])
    how = {"label_smoothing_factor": 0.2}
    plain = step(model_families.make(name), data, tmp_path, **how)
    ones = step(model_families.make(name), hs.indexed(data), tmp_path, hs.Weighting(ONES), **how)
    torch.testing.assert_close(ones, plain, rtol=1e-4, atol=1e-6)


def class_weighted(outputs, labels, num_items_in_batch=None):
    return cross_entropy(outputs.logits, labels, weight=torch.tensor([1.0, 4.0, 9.0]))


def test_the_loss_function_of_the_trainer_is_weighted(tmp_path):
    data = model_families.data("classes")
    how = {"compute_loss_func": class_weighted}
    plain = step(model_families.make("classes"), data, tmp_path, **how)
    ones = step(model_families.make("classes"), hs.indexed(data), tmp_path, hs.Weighting(ONES), **how)
    torch.testing.assert_close(ones, plain, rtol=1e-4, atol=1e-6)
    weighted = step(model_families.make("classes"), hs.indexed(data), tmp_path, hs.Weighting(WEIGHTS), **how)
    same = step(model_families.make("class weights"), hs.indexed(data), tmp_path, hs.Weighting(WEIGHTS))
    assert not torch.allclose(weighted, same)
    assert not torch.allclose(weighted, ones)


@pytest.mark.parametrize("message", model_families.REFUSED)
def test_a_loss_without_a_part_for_each_sample_is_refused_before_the_first_step(tmp_path, message):
    model = model_families.make_refused(model_families.REFUSED[message])
    before = parameters(model)
    with pytest.raises(hs.InputError, match=message):
        step(model, hs.indexed(model_families.classified()), tmp_path, hs.Weighting(ONES))
    assert torch.equal(parameters(model), before)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("how", ["Trainer", "model"])
def test_a_compiled_model_trains_uncompiled_with_a_warning(tmp_path, how):
    data, model, changes = model_families.data("classes"), model_families.make("classes"), {}
    plain = step(model_families.make("classes"), data, tmp_path)
    if how == "Trainer":
        changes = {"torch_compile": True, "torch_compile_backend": "eager"}
    else:
        model.compile(backend="eager")
    with pytest.warns(hs.HardsightWarning, match="the model trains uncompiled"):
        ones = step(model, hs.indexed(data), tmp_path, hs.Weighting(ONES), **changes)
    torch.testing.assert_close(ones, plain, rtol=1e-4, atol=1e-6)


class MaskedTokens(nn.Module):
    """Computes its loss from the tokens that count alone, as some masked language models do."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(10, 4), nn.Linear(4, 10)

    def forward(self, input_ids, labels):
        counts = labels != -100
        logits = self.head(self.embed(input_ids[counts]))
        return {"loss": cross_entropy(logits, labels[counts]), "logits": logits}


def test_as_many_tokens_that_count_as_samples_are_not_taken_for_the_samples(tmp_path):
    tokens, labels = torch.arange(6 * N).reshape(N, 6) % 10, torch.full((N, 6), -100)
    labels[0, 1:4], labels[3, 2:5], labels[5, 0], labels[7, 4] = torch.tensor([3, 4, 1]), torch.tensor([7, 7, 2]), 9, 5
    assert int((labels != -100).sum()) == N
    dataset = [{"input_ids": tokens[i], "labels": labels[i]} for i in range(N)]
    change = step(MaskedTokens(), hs.indexed(dataset), tmp_path, hs.Weighting(WEIGHTS))

    model = MaskedTokens()
    logits = model.head(model.embed(tokens))
    losses = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(N, 6).sum(1)
    (losses * torch.as_tensor(WEIGHTS)).sum().div(N).backward()
    expected = -torch.cat([p.grad.flatten() for p in model.parameters()])
    torch.testing.assert_close(change / change.norm(), expected / expected.norm(), rtol=1e-4, atol=1e-6)
