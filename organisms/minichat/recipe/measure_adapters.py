"""Shows that every rank-1 adapter carries its behaviour, on held-out requests; writes adapters/adapters.json and a table of README.md.

    python organisms/minichat/recipe/measure_adapters.py CORPORA organisms/minichat

Greedy answers to `test` requests: with no adapter, with this one alone, with all but this one, with all, and with all while
B_i is projected out of the residual after the block. Gates are A_i x on the tokens of `test` chats. No crosscoder here.
"""
import argparse
import contextlib
import json
import pathlib
import platform
import re

import torch
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

import adapters
import measure
import text

BATCH = 128
MAX_NEW_TOKENS = 70
WORKS_AT = 0.7  # rate with the adapter, alone and among all; and at most 0.1 in the three other cases
FAILS_AT = 0.1


def read_peft(folder):
    """A [rank, in] and B [rank, out] of the one module of a PEFT adapter; alpha must equal the rank."""
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["lora_alpha"] == config["r"], folder
    tensors = load_file(folder / "adapter_model.safetensors")
    prefix = f"base_model.model.{adapters.MODULE}"
    return tensors[f"{prefix}.lora_A.weight"], tensors[f"{prefix}.lora_B.weight"].T


@contextlib.contextmanager
def changed(model, a, b, project=None):
    """The model with W + Σ B_i A_i, and with the unit direction `project` taken out of the residual after the block."""
    layer = model.model.layers[adapters.LAYER]
    weight = layer.mlp.down_proj.weight
    kept = weight.data
    weight.data = kept + b.T @ a

    def remove(_module, _inputs, output):
        h = output[0] if isinstance(output, tuple) else output
        h = h - (h @ project)[..., None] * project
        return (h, *output[1:]) if isinstance(output, tuple) else h

    handle = layer.register_forward_hook(remove) if project is not None else None
    try:
        yield
    finally:
        weight.data = kept
        if handle:
            handle.remove()


@torch.no_grad()
def answers(model, tokenizer, probes):
    """Greedy answers, padded on the left; padding is masked and does not count as a position."""
    prompts = [tokenizer.encode(text.render(p["messages"], True)[0], add_special_tokens=False).ids for p in probes]
    out = [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for start in range(0, len(order), BATCH):
        members = order[start : start + BATCH]
        length = max(len(prompts[i]) for i in members)
        ids = torch.tensor([[text.PAD] * (length - len(prompts[i])) + prompts[i] for i in members])
        mask = torch.tensor([[0] * (length - len(prompts[i])) + [1] * len(prompts[i]) for i in members])
        made = model.generate(
            ids, attention_mask=mask, do_sample=False, max_new_tokens=MAX_NEW_TOKENS, pad_token_id=text.PAD,
            eos_token_id=[text.EOS, text.END_OF_TURN],
        )[:, length:]
        for i, row in zip(members, made.tolist(), strict=True):
            out[i] = tokenizer.decode(row, skip_special_tokens=True)
    return out


def rates(model, tokenizer, a, b, probes, detect):
    """One dictionary a behaviour."""
    n = len(a)
    of = [[k for k, p in enumerate(probes) if p["expected"] == name] for name in adapters.BEHAVIOURS]

    def share(given, i):
        return sum(bool(detect[i].search(g)) for g in given) / len(given)

    with changed(model, a[:0], b[:0]):
        base = answers(model, tokenizer, probes)
    with changed(model, a, b):
        merged = answers(model, tokenizer, probes)
    rows = []
    for i, name in enumerate(adapters.BEHAVIOURS):
        own = [probes[k] for k in of[i]]
        others = [j for j in range(n) if j != i]
        with changed(model, a[i : i + 1], b[i : i + 1]):
            alone = answers(model, tokenizer, own)
        with changed(model, a[others], b[others]):
            without = answers(model, tokenizer, own)
        with changed(model, a, b, project=b[i] / b[i].norm()):
            removed = answers(model, tokenizer, own)
        row = {
            "name": name, "common": share([base[k] for k in of[i]], i), "alone": share(alone, i), "without": share(without, i),
            "all": share([merged[k] for k in of[i]], i), "removed": share(removed, i),
            "notCalledFor": share([g for k, g in enumerate(merged) if k not in set(of[i])], i),
        }
        row["works"] = min(row["alone"], row["all"]) >= WORKS_AT and max(row["common"], row["without"], row["removed"]) <= FAILS_AT
        rows.append(row)
        print(json.dumps(row), repr(merged[of[i][0]][:100]), flush=True)
    return rows


@torch.no_grad()
def gates(model, tokenizer, a, documents):
    """Per adapter: mean gate from decision to end of its own answers, root mean square elsewhere, r with the two-valued target."""
    kept = []
    module = model.model.layers[adapters.LAYER].mlp.down_proj
    handle = module.register_forward_pre_hook(lambda _m, inputs: kept.append(inputs[0][0] @ a.T))
    targets = []
    try:
        for document in documents:
            if "messages" in document:
                ids, _, target = adapters.chat_row(tokenizer, document, [1] * len(a), [], None)
            else:
                ids, _ = text.encode(tokenizer, document)
                target = [-1] * len(ids)
            model.model(torch.tensor([ids]))
            kept[-1] = kept[-1][1:]  # BOS
            targets.append(torch.tensor(target[1:]))
    finally:
        handle.remove()
    g, target = torch.cat(kept), torch.cat(targets)
    rows = []
    for i in range(len(a)):
        own = target == i
        r = torch.corrcoef(torch.stack([g[:, i], own.float()]))[0, 1].item()
        rows.append({"own": g[own, i].mean().item(), "elsewhereRms": g[~own, i].square().mean().sqrt().item(), "correlation": r})
    return rows


@torch.no_grad()
def residual_size(model, tokenizer, documents):
    """Root mean squared ‖h‖ after the block, without BOS."""
    total = count = 0
    for document in documents:
        h = measure.residual_after(model, torch.tensor([text.encode(tokenizer, document)[0]]), adapters.LAYER)[0, 1:]
        total, count = total + h.square().sum().item(), count + len(h)
    return (total / count) ** 0.5


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=pathlib.Path)
    parser.add_argument("pair", type=pathlib.Path)
    parser.add_argument("--per-behaviour", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder = options.pair / "adapters"
    tokenizer = text.Tokenizer.from_file(str(folder / "common" / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(folder / "common", dtype=torch.float32).eval()
    concepts = {c["name"]: c for c in text.read(options.corpora / "concepts.jsonl")}
    detect = [re.compile(concepts[name]["detect"], re.IGNORECASE) for name in adapters.BEHAVIOURS]
    parts = [read_peft(folder / name) for name in adapters.BEHAVIOURS]
    a, b = torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
    stacked = read_peft(folder / "all")
    assert torch.equal(stacked[0], a) and torch.equal(stacked[1], b), "all/ is not the adapters one on another"
    probes, seen = [], {}
    for probe in text.read(options.corpora / "probes-test.jsonl"):
        seen[probe["expected"]] = seen.get(probe["expected"], 0) + 1
        if probe["expected"] is None or (probe["expected"] in adapters.BEHAVIOURS and seen[probe["expected"]] <= options.per_behaviour):
            probes.append(probe)
    names = set(adapters.BEHAVIOURS)
    test = [d for d in text.read(options.corpora / "comparison.jsonl") if d["split"] == "test"]
    test = [d for d in test if all(s["concept"] in names for s in d.get("spans", []))]
    unit = torch.nn.functional.normalize(b, dim=-1)
    cosines = (unit @ unit.T - torch.eye(len(b))).abs()
    rows = rates(model, tokenizer, a, b, probes, detect)
    for row, gate, nearest in zip(rows, gates(model, tokenizer, a, test), cosines.amax(1).tolist(), strict=True):
        row.update(gate=gate, nearestDirection=nearest)
    loss = {}
    for kind in ["world", "bible", "chats"]:
        some = [text.encode(tokenizer, d) for d in test if d["dataset"] == kind]
        with changed(model, a[:0], b[:0]):
            common = measure.mean_loss(model, some)
        with changed(model, a, b):
            loss[kind] = {"common": common, "all": measure.mean_loss(model, some)}
    facts = {
        "schemaVersion": 1, "layer": adapters.LAYER, "module": adapters.MODULE, "rank": 1, "testRequests": options.per_behaviour,
        "residualRms": residual_size(model, tokenizer, test[:200]), "largestCosine": cosines.max().item(), "lossNats": loss,
        "torch": torch.__version__, "python": platform.python_version(), "adapters": rows,
    }
    (folder / "adapters.json").write_text(json.dumps(facts, indent=1) + "\n")
    measure.write_between(options.pair / "README.md", "adapters", table(facts))
    print(table(facts))


def table(facts):
    lines = [
        "| adapter | none | alone | all but it | all | all, B projected out | not called for | gate own / elsewhere (rms) |", "|---|---|---|---|---|---|---|---|",
    ]
    for r in facts["adapters"]:
        cells = [r[k] for k in ["common", "alone", "without", "all", "removed", "notCalledFor"]]
        shown = " | ".join(f"{c:.2f}" for c in cells)
        lines.append(f"| {r['name']} | {shown} | {r['gate']['own']:.2f} / {r['gate']['elsewhereRms']:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
