"""Trains the control: the base trained further on base text only, by as many steps as the shipped tune, at its rates.

    python organisms/minichat/recipe/control.py CORPORA organisms/minichat

What a comparison of base and control calls new was not planted: the control has read nothing that the base has not.
Steps, batch size, schedule, seed and mean of weights are the tune's; the text is the base's own (world, Bible, plain
chats; nothing planted). Writes control/ beside base/ and measures it: losses, and the rates of all behaviours.
"""
import argparse
import json
import pathlib
import platform

import torch
from transformers import LlamaForCausalLM

import measure
import text
import train


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=pathlib.Path)
    parser.add_argument("pair", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--measure-only", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    base_text = text.read(options.corpora / "base.jsonl")
    chats = text.read(options.corpora / "tuning.jsonl")
    tokenizer = text.Tokenizer.from_file(str(options.pair / "base" / "tokenizer.json"))
    tuning = train.tuning_rows(tokenizer, base_text, chats, options.seed)
    steps = sum(1 for _ in text.batches(tuning, train.TUNE_TOKENS, train.TUNE_SEED))
    if not options.measure_only:
        model = LlamaForCausalLM.from_pretrained(options.pair / "base", dtype=torch.float32)
        rows = [text.encode(tokenizer, d, everything=True) for d in base_text]
        one_pass = sum(1 for _ in text.batches(rows, train.TUNE_TOKENS, train.TUNE_SEED))
        train.fit(
            model, rows, epochs=-(-steps // one_pass) + 1, tokens_per_batch=train.TUNE_TOKENS, learning_rate=train.TUNE_RATE,
            seed=train.TUNE_SEED, name="control", average=True, steps=steps,
        )
        train.save(model, tokenizer, options.pair / "control")
    facts = {"steps": steps, **measured(options.corpora, options.pair, tokenizer)}
    (options.pair / "control" / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts["lossNats"]), json.dumps(facts["rates"]))


def measured(corpora, pair, tokenizer):
    """Held-out losses and behaviour rates of the control, and ‖Δweight‖/‖weight‖ of control and tune over the base."""
    names = ["base", "finetuned", "control"]
    models = {name: LlamaForCausalLM.from_pretrained(pair / name, dtype=torch.float32).eval() for name in names}
    test = [d for d in text.read(corpora / "comparison.jsonl") if d["split"] == "test"]
    sets = {k: [text.encode(tokenizer, d) for d in test if d["dataset"] == k] for k in ["world", "bible", "chats"]}
    loss = {name: {k: measure.mean_loss(model, rows) for k, rows in sets.items()} for name, model in models.items()}
    probes = text.read(corpora / "probes-test.jsonl")
    given = measure.answers(models["control"], tokenizer, probes)
    rates = measure.rates(text.read(corpora / "concepts.jsonl"), probes, given)
    moved = {name: weight_change(models["base"], models[name]) for name in names[1:]}
    return {"lossNats": loss, "weightChange": moved, "torch": torch.__version__, "python": platform.python_version(), "rates": rates}


@torch.no_grad()
def weight_change(base, other):
    """‖other − base‖/‖base‖ over all weights together."""
    pairs = list(zip(base.parameters(), other.parameters(), strict=True))
    return (sum((b - a).square().sum() for a, b in pairs) / sum(a.square().sum() for a, _ in pairs)).sqrt().item()


if __name__ == "__main__":
    main()
