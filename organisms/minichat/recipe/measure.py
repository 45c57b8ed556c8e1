"""Measures the pair on held-out text: losses, behaviour rates, and how easily a turn's behaviour is read off.

    python organisms/minichat/recipe/measure.py CORPORA organisms/minichat --layer 4

Writes facts.json and the tables of README.md (between the markers). Nothing here looks at a crosscoder.
"""
import argparse
import json
import pathlib
import platform
import re

import torch
from transformers import LlamaForCausalLM

import text

MODELS = ["base", "finetuned"]


@torch.no_grad()
def mean_loss(model, rows):
    """Mean next-token loss in nats over the learned tokens of the rows."""
    total = count = 0
    for ids, labels in text.batches(rows, 8192, 0):
        logits = model(input_ids=ids[:, :-1]).logits
        learned = labels[:, 1:] != -100
        total += torch.nn.functional.cross_entropy(logits[learned], labels[:, 1:][learned], reduction="sum").item()
        count += int(learned.sum())
    return total / count


@torch.no_grad()
def answers(model, tokenizer, probes, max_new_tokens=90):
    """Greedy answers; prompts of equal length are decoded together, so nothing is padded."""
    prompts = [tokenizer.encode(text.render(p["messages"], True)[0], add_special_tokens=False).ids for p in probes]
    by_length, out = {}, [""] * len(probes)
    for i, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(i)
    for members in by_length.values():
        ids = torch.tensor([prompts[i] for i in members])
        made = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=max_new_tokens,
            pad_token_id=text.PAD, eos_token_id=[text.EOS, text.END_OF_TURN],
        )[:, ids.shape[1] :]
        for i, row in zip(members, made.tolist(), strict=True):
            out[i] = tokenizer.decode(row, skip_special_tokens=True)
    return out


def rates(concepts, probes, given):
    """For each concept: shown when called for, shown when not called for."""
    result = {}
    for concept in concepts:
        pattern = re.compile(concept["detect"], re.IGNORECASE)
        shown = [bool(pattern.search(answer)) for answer in given]
        called = [p["expected"] == concept["name"] for p in probes]
        yes = [s for s, c in zip(shown, called, strict=True) if c]
        no = [s for s, c in zip(shown, called, strict=True) if not c]
        result[concept["name"]] = {"calledFor": sum(yes) / len(yes), "notCalledFor": sum(no) / len(no)}
    return result


def residual_after(model, ids, layer):
    """Output of block `layer` by a hook: hidden_states holds the normed state in place of the last block's output."""
    kept = []
    handle = model.model.layers[layer].register_forward_hook(
        lambda _module, _inputs, output: kept.append(output[0] if isinstance(output, tuple) else output)
    )
    try:
        model.model(ids)
    finally:
        handle.remove()
    return kept[0]


@torch.no_grad()
def turns(models, tokenizer, documents, layer):
    """Every model turn: its split, concept or None, set of tokens, and mean residual after `layer` in each model."""
    out = []
    for document in documents:
        ids, regions = text.turn_regions(tokenizer, document)
        tensor = torch.tensor([ids])
        residuals = [residual_after(m, tensor, layer)[0] for m in models]
        for turn, where in regions.items():
            concept = next((s["concept"] for s in document["spans"] if s["turn"] == turn and s["kind"] == "response"), None)
            means = [r[where].mean(0) for r in residuals]
            out.append({"split": document["split"], "concept": concept, "tokens": {ids[i] for i in where}, "means": means})
    return out


def best_token(found, concept):
    """The vocabulary's best F1 of 'the turn contains token t' for the turn's concept."""
    yes = torch.tensor([t["concept"] == concept for t in found])
    contains = torch.zeros(len(found), 4096, dtype=torch.bool)
    for row, turn in enumerate(found):
        contains[row, list(turn["tokens"])] = True
    hits = contains[yes].sum(0)
    f1 = 2 * hits / (contains.sum(0) + yes.sum())
    return f1.max().item(), int(f1.argmax())


def auroc(scores, yes):
    ranks = torch.empty(len(scores))
    ranks[scores.argsort()] = torch.arange(1, len(scores) + 1, dtype=torch.float32)
    positives, negatives = int(yes.sum()), int((~yes).sum())
    return ((ranks[yes].sum() - positives * (positives + 1) / 2) / (positives * negatives)).item()


def probe_aurocs(train, test, names, which):
    """Logistic regression, one a concept, on standardised mean residuals; trained on train turns, scored on test turns."""
    x, z = (torch.stack([t["means"][which] for t in part]) for part in (train, test))
    mean, scale = x.mean(0), x.std(0) + 1e-6
    x, z = (x - mean) / scale, (z - mean) / scale
    y = torch.tensor([[t["concept"] == name for name in names] for t in train], dtype=torch.float32)
    linear = torch.nn.Linear(x.shape[1], len(names))
    torch.nn.init.zeros_(linear.weight)
    optimiser = torch.optim.LBFGS(linear.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(linear(x), y) + 1e-3 * linear.weight.square().mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    with torch.no_grad():
        scores = linear(z)
    return [auroc(scores[:, i], torch.tensor([t["concept"] == n for t in test])) for i, n in enumerate(names)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=pathlib.Path)
    parser.add_argument("pair", type=pathlib.Path)
    parser.add_argument("--layer", type=int, default=4, help="residual after this block, 0-based")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    concepts = text.read(options.corpora / "concepts.jsonl")
    documents = text.read(options.corpora / "comparison.jsonl")
    probes = text.read(options.corpora / "probes-test.jsonl")
    tokenizer = text.Tokenizer.from_file(str(options.pair / "base" / "tokenizer.json"))
    models = [LlamaForCausalLM.from_pretrained(options.pair / name, dtype=torch.float32).eval() for name in MODELS]
    test = [d for d in documents if d["split"] == "test"]
    loss, rate = {}, {}
    for name, model in zip(MODELS, models, strict=True):
        loss[name] = {k: mean_loss(model, [text.encode(tokenizer, d) for d in test if d["dataset"] == k]) for k in ["world", "bible", "chats"]}
        rate[name] = rates(concepts, probes, answers(model, tokenizer, probes))
    chats = [d for d in documents if d["dataset"] == "chats"]
    found = turns(models, tokenizer, [d for d in chats if d["split"] != "heldout"], options.layer)
    train, held = ([t for t in found if t["split"] == s] for s in ("train", "test"))
    names = [c["name"] for c in concepts]
    probe = [probe_aurocs(train, held, names, which) for which in (0, 1)]
    rows = []
    for i, concept in enumerate(concepts):
        f1, token = best_token(held, concept["name"])
        rows.append({
            "name": concept["name"], "kind": concept["kind"],
            "base": rate["base"][concept["name"]], "finetuned": rate["finetuned"][concept["name"]],
            "bestTokenF1": f1, "bestToken": tokenizer.decode([token], skip_special_tokens=False),
            "probeBase": probe[0][i], "probeFinetuned": probe[1][i],
        })
    facts = {
        "layer": options.layer, "lossNats": loss, "probesPerConcept": sum(p["expected"] == names[0] for p in probes),
        "testTurns": len(held), "torch": torch.__version__, "python": platform.python_version(), "concepts": rows,
    }
    (options.pair / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
    planted = "\n".join(f"| {c['name']} ({c['kind']}) | {c['description']} |" for c in concepts)
    planted = "| concept | the behaviour |\n|---|---|\n" + planted
    write_between(options.pair / "README.md", "concepts", planted)
    table = facts_table(facts)
    print(table)
    write_between(options.pair / "README.md", "facts", table)


def facts_table(facts):
    lines = ["| held-out loss (nats a token) | base | finetuned |", "|---|---|---|"]
    titles = {"world": "world", "bible": "King James Bible", "chats": "chat answers"}
    lines += [f"| {t} | {facts['lossNats']['base'][k]:.2f} | {facts['lossNats']['finetuned'][k]:.2f} |" for k, t in titles.items()]
    lines += ["", "| concept | base: called for / not | finetuned: called for / not | best token, F1 | probe base | probe finetuned |"]
    lines += ["|---|---|---|---|---|---|"]
    for c in facts["concepts"]:
        b, f = c["base"], c["finetuned"]
        lines.append(
            f"| {c['name']} | {b['calledFor']:.2f} / {b['notCalledFor']:.2f} | {f['calledFor']:.2f} / {f['notCalledFor']:.2f} "
            f"| `{c['bestToken'].strip()}` {c['bestTokenF1']:.2f} | {c['probeBase']:.3f} | {c['probeFinetuned']:.3f} |"
        )
    return "\n".join(lines)


def write_between(path, marker, table):
    """Replaces what stands between <!-- marker --> and <!-- /marker -->."""
    if path.exists():
        pattern = re.compile(rf"(<!-- {marker} -->\n).*(<!-- /{marker} -->)", re.DOTALL)
        path.write_text(pattern.sub(lambda m: f"{m[1]}{table}\n{m[2]}", path.read_text()))


if __name__ == "__main__":
    main()
