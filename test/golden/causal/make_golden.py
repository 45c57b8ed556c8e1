"""Golden files of src/causal/: the paper's table, per-latent edits and splice metrics of the bundled pair, by PyTorch alone.

Reads the bundled pair (float32, transformers) and its corpus; writes beside itself
  chats.safetensors   24 chats (four with other tokens for the base, one cut within an answer) and 4 plain texts: ids, masks
  L4/, L2/            for the layer the demo compares (the last: only norm and head follow) and for one with blocks behind it:
    model.safetensors   a dictionary of 96 or 64 latents over raw activations, in the field's layout: directions of activation
                        differences, of activations and random ones, decoder by ridge regression on the codes
    cases.safetensors   table [intervention, metric, predicted position] f32; how many latents fire at each row of the chats
  golden.json         versions, hashes of the weights, what each intervention is, means and published intervals, per-latent KL,
                      splice metrics

Section 3.2 and App. G of Minder et al. 2025 (arXiv:2504.02922). Forwards run in float32, one chat at a time, the residual is
replaced by a hook on the layer; dense einsums, probabilities and means in float64. No code of tunediff takes part.

Run: python test/golden/causal/make_golden.py CORPUS.jsonl    CORPUS: what `tunediff demo` writes (corpus-*.jsonl), its held-out part
"""

import hashlib
import json
import platform
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
PAIR = HERE.parents[2] / "organisms" / "minichat"
SIDES = ["base", "finetuned"]
LAYERS = {4: 96, 2: 64}  # latents of the dictionary of each
WANTED_L0 = 8
FIRST = 10  # predicting positions of an answer that "first nine" looks at
UNEDITED = 4
METRICS = ["kl", "klReverse", "nll", "nllArgmax", "klBase"]
OUTLIER_FACTOR = 10  # of the median norm; see src/store/norm-outliers.ts
LOW_FACTOR = 1.3  # the same rule made to bite: the pair has no outliers but BOS
REPLACED = ("<start_of_turn>", "<eos>")

torch.set_num_threads(1)
torch.manual_seed(0)
tokenizer = transformers.AutoTokenizer.from_pretrained(PAIR / "finetuned")
models = {
    side: transformers.AutoModelForCausalLM.from_pretrained(
        PAIR / side, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    for side in SIDES
}


# ---- text ------------------------------------------------------------------------------------------------------------


def chat_masks(messages):
    """ids, isTemplate, isAssistant of a chat by the characters of its contents; the end mark of an answer is the assistant's."""
    text, contents = "<bos>", []
    for message in messages:
        content = message["content"].strip()
        text += f"<start_of_turn>{'model' if message['role'] == 'assistant' else message['role']}\n"
        contents.append((len(text), len(text) + len(content), message["role"]))
        text += f"{content}<end_of_turn>\n"
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = encoded["input_ids"]
    assert ids == list(tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False))
    template, assistant = [], []
    for index, (start, end) in enumerate(encoded["offset_mapping"]):
        role = next((r for s, e, r in contents if end > s and start < e), None)
        closes = any(start == e and r == "assistant" for _, e, r in contents)
        template.append(int(role is None and index > 0))
        assistant.append(int(role == "assistant" or closes))
    return ids, template, assistant


def choose_documents(corpus):
    held_out = [d for d in map(json.loads, open(corpus)) if d["split"] == "heldout"]
    chats, want = [], {2: 18, 4: 4, 6: 2}
    for document in held_out:
        messages = document.get("messages")
        if messages is None or want.get(len(messages), 0) == 0:
            continue
        ids, template, assistant = chat_masks(messages)
        if len(ids) > {2: 60, 4: 120, 6: 160}[len(messages)]:
            continue
        want[len(messages)] -= 1
        chats.append({"id": document["id"], "ids": ids, "template": template, "assistant": assistant})
    texts = [d for d in held_out if "text" in d]
    texts = [d for name in ["world", "bible"] for d in [t for t in texts if t["dataset"] == name][:2]]
    texts = [
        {"id": d["id"], "ids": [tokenizer.bos_token_id] + tokenizer(d["text"], add_special_tokens=False)["input_ids"][:55]}
        for d in texts
    ]
    assert len(chats) == 24 and len(texts) == 4, (want, len(texts))
    cut = max(i for i, a in enumerate(chats[0]["assistant"]) if a) - 3
    for key in ["ids", "template", "assistant"]:
        chats[0][key] = chats[0][key][:cut]
    old, new = map(tokenizer.convert_tokens_to_ids, REPLACED)
    for index, document in enumerate(chats + texts):
        document["base"] = [new if i == old else i for i in document["ids"]] if 20 <= index < 24 else document["ids"]
    return chats, texts


def predicted(chat):
    """Positions before an assistant's token; which of them are the first nine of an answer."""
    positions, first = [], []
    run = 0
    for position in range(len(chat["ids"]) - 1):
        run = run + 1 if chat["assistant"][position + 1] else 0
        if run:
            positions.append(position)
            first.append(int(run <= FIRST and not chat["template"][position]))
    return positions, first


# ---- models ----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def forward(side, ids, layer, replace=None):
    """Logits [length, vocab] and the residual after the layer [length, d]; replace: that residual instead."""
    seen = {}

    def hook(_module, _inputs, output):
        hidden = output[0] if isinstance(output, tuple) else output
        seen["residual"] = hidden[0].clone()
        if replace is None:
            return None
        other = replace[None].to(hidden.dtype)
        return (other, *output[1:]) if isinstance(output, tuple) else other

    handle = models[side].model.layers[layer].register_forward_hook(hook)
    logits = models[side](input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    handle.remove()
    return logits, seen["residual"]


def log_p(logits):
    return torch.log_softmax(logits.double(), dim=-1)


def kl(log_first, log_second):
    return (log_first.exp() * (log_first - log_second)).sum(-1)


# ---- dictionary ------------------------------------------------------------------------------------------------------


def make_dictionary(rows, n_latents, seed):
    """rows [n, 2, d] without BOS → encoder [2, d, D], its bias, decoder [2, D, d], its bias, threshold."""
    generator = torch.Generator().manual_seed(seed)
    n, _, d = rows.shape
    mean = rows.mean(0)
    pick = torch.randperm(n, generator=generator)[:n_latents]
    directions = []
    for latent in range(n_latents):
        row = rows[pick[latent]]
        if latent % 8 < 4:  # what the fine-tune has and the base has not
            difference = (row[1] - mean[1]) - (row[0] - mean[0])
            direction = torch.stack([-0.5 * difference, difference])
        elif latent % 8 < 7:  # what both have
            direction = row - mean
        else:
            direction = torch.randn(2, d, generator=generator)
        directions.append(direction / direction.norm())
    encoder = torch.stack(directions, dim=-1)  # [2, d, D]
    pre = torch.einsum("bld,ldf->bf", rows, encoder)
    share = 10 / n_latents * (0.6 + 0.8 * torch.rand(n_latents, generator=generator, dtype=torch.float64)).to(rows.dtype)
    bias = -torch.stack([torch.quantile(pre[:, j], 1 - share[j]) for j in range(n_latents)])
    codes = torch.relu(pre + bias)
    # Ridge regression with a column of ones: the decoder that reconstructs best from these codes.
    design = torch.cat([codes, torch.ones(n, 1, dtype=rows.dtype)], dim=1)
    gram = design.T @ design + 1e-2 * n * torch.diag(torch.cat([codes.square().mean(0), torch.zeros(1, dtype=rows.dtype)]))
    solution = torch.linalg.solve(gram, design.T @ rows.reshape(n, 2 * d)).reshape(n_latents + 1, 2, d)
    decoder = solution[:-1].permute(1, 0, 2).contiguous()
    weights = decoder.norm(dim=2).sum(0)
    activations = (codes * weights).flatten().sort().values
    # The widest gap near the wanted number: rounding of other programs must not change which latents fire.
    middle = len(activations) - WANTED_L0 * n
    near = activations[middle - n // 4 : middle + n // 4]
    widest = int((near[1:] - near[:-1]).argmax())
    threshold = float(near[widest] + near[widest + 1]) / 2
    return {
        "encoder.weight": encoder.float().contiguous(),
        "encoder.bias": bias.float(),
        "decoder.weight": decoder.float(),
        "decoder.bias": solution[-1].float().contiguous(),
    }, threshold


def encode(dictionary, pair):
    """pair [n, 2, d] → codes [n, D] f64, and the smallest distance of an activation from the threshold."""
    pre = torch.einsum("bld,ldf->bf", pair.double(), dictionary["encoder.weight"].double()) + dictionary["encoder.bias"].double()
    weights = dictionary["decoder.weight"].double().norm(dim=2).sum(0)
    scaled = pre * weights
    threshold = float(dictionary["threshold"])
    return torch.where(scaled > threshold, pre, torch.zeros_like(pre)), float((scaled - threshold).abs().min())


# ---- what is measured ------------------------------------------------------------------------------------------------


def interventions(n_latents):
    every = list(range(n_latents))
    a = [j for j in every if j % 8 < 2]
    b = [j for j in every if j % 3 == 0]
    one = [8]
    plain = lambda kind, **more: {"name": kind, "kind": kind, "decoderBias": "omit", "unedited": 0, **more}
    subset = lambda name, form, latents, **more: plain("subset", **{"name": name, "form": form, "latents": latents, **more})
    return [
        plain("none"),
        plain("all"),
        plain("error"),
        plain("template"),
        plain("finetuned"),
        subset("A additive", "additive", a),
        subset("A replacing", "replacing", a),
        subset("B additive", "additive", b),
        subset("B replacing", "replacing", b),
        subset("one additive", "additive", one),
        plain("all", name="all swap", decoderBias="swap"),
        plain("error", name="error swap", decoderBias="swap"),
        # As the code: leading positions of the fine-tune's own residual, whatever is patched.
        subset("A additive, unedited", "additive", a, unedited=UNEDITED, leading="finetuned"),
        plain("none", name="none, unedited", unedited=UNEDITED, leading="finetuned"),
        # The other reading: of the model that is patched.
        subset("A additive, unedited of base", "additive", a, unedited=UNEDITED, leading="base"),
    ]


def hybrid(intervention, chat, dictionary):
    """[length, d] f64: method.md 4.2, dense."""
    base, finetuned, codes = chat["h"]["base"], chat["h"]["finetuned"], chat["codes"]
    decoder = dictionary["decoder.weight"].double()
    difference = decoder[1] - decoder[0]
    bias = dictionary["decoder.bias"].double()
    swap = (bias[1] - bias[0]) if intervention["decoderBias"] == "swap" else 0
    kind = intervention["kind"]
    if kind == "none":
        h = base.clone()
    elif kind == "finetuned":
        h = finetuned.clone()
    elif kind == "all":
        h = base + torch.einsum("bf,fd->bd", codes, difference) + swap
    elif kind == "error":
        h = finetuned - torch.einsum("bf,fd->bd", codes, difference) - swap
    elif kind == "template":
        h = torch.where(torch.tensor(chat["template"], dtype=torch.bool)[:, None], finetuned, base)
    else:
        rows = intervention["latents"]
        directions = decoder[1] if intervention["form"] == "additive" else difference
        h = base + torch.einsum("bf,fd->bd", codes[:, rows], directions[rows])
    n = intervention["unedited"]
    if n:
        h[:n] = chat["h"][intervention["leading"]][:n]
    return h


def metrics(logits, chat):
    """[metric, predicted position] f64."""
    positions = chat["positions"]
    p = log_p(logits[positions])
    finetuned, base = chat["logP"]["finetuned"][positions], chat["logP"]["base"][positions]
    came = torch.tensor([chat["ids"][i + 1] for i in positions])
    best = chat["logits"]["finetuned"][positions].argmax(-1)
    at = torch.arange(len(positions))
    return torch.stack([kl(finetuned, p), kl(p, finetuned), -p[at, came], -p[at, best], kl(base, p)])


def estimate(values):
    """Mean and published interval ± 1.96 σ/√n of pooled tokens; σ with n − 1."""
    n = len(values)
    mean = float(values.mean())
    half = 1.96 * float(values.std(unbiased=True)) / n**0.5
    return {"tokens": n, "mean": mean, "low": mean - half, "high": mean + half}


def summary(table, sets):
    return {
        name: {metric: estimate(row[mask]) for metric, row in zip(METRICS, table, strict=True)}
        for name, mask in sets.items()
    }


def splice(side, documents, dictionary, layer, keep):
    """keep(document) → [length] bool, rows that stay as they are. Measured: every position but 0 that has a next token."""
    at = SIDES.index(side)
    ids = lambda document: document["base"] if side == "base" else document["ids"]
    ordinary = torch.cat(
        [d["h"][side][1:-1][~d["outlier"][1:-1]] for d in documents if len(d["ids"]) > 2]
    )
    mean = ordinary.mean(0)
    sums = {name: [] for name in ["model", "spliced", "mean", "zero", "kl"]}
    kept = 0
    for document in documents:
        h, own = document["h"][side], document["logP"][side][1:-1]
        stays = keep(document)[:, None]
        kept += int(stays[1:-1].sum())
        decoded = torch.einsum("bf,fd->bd", document["codes"], dictionary["decoder.weight"][at].double())
        decoded = decoded + dictionary["decoder.bias"][at].double()
        came = torch.tensor(ids(document)[2:])
        nll = lambda p: -p[torch.arange(len(came)), came]
        sums["model"].append(nll(own))
        for name, other in [("spliced", decoded), ("mean", mean.expand_as(h)), ("zero", torch.zeros_like(h))]:
            logits, _ = forward(side, ids(document), layer, torch.where(stays, h, other).float())
            p = log_p(logits[1:-1])
            sums[name].append(nll(p))
            if name == "spliced":
                sums["kl"].append(kl(own, p))
    means = {name: float(torch.cat(values).mean()) for name, values in sums.items()}
    return {
        "tokens": sum(len(values) for values in sums["kl"]),
        "kept": kept,
        "ce": {name: means[name] for name in ["model", "spliced", "mean", "zero"]},
        "kl": means["kl"],
        "lossRecoveredZero": (means["zero"] - means["spliced"]) / (means["zero"] - means["model"]),
        "lossRecoveredMean": (means["mean"] - means["spliced"]) / (means["mean"] - means["model"]),
    }


def make_layer(layer, n_latents, chats, texts):
    documents = chats + texts
    for document in documents:
        runs = {side: forward(side, document["base" if side == "base" else "ids"], layer) for side in SIDES}
        document["logits"] = {side: runs[side][0] for side in SIDES}
        document["logP"] = {side: log_p(runs[side][0]) for side in SIDES}
        document["h"] = {side: runs[side][1].double() for side in SIDES}
    pair = lambda document: torch.stack([document["h"][side] for side in SIDES], dim=1)
    rows = torch.cat([pair(document)[1:] for document in documents])
    parameters, threshold = make_dictionary(rows, n_latents, seed=layer)
    folder = HERE / f"L{layer}"
    folder.mkdir(exist_ok=True)
    sites = [{"name": f"{s}-L{layer}", "model": s, "layer": layer, "width": rows.shape[2]} for s in SIDES]
    save_file(
        {**parameters, "threshold": torch.tensor(threshold), "k": torch.tensor(WANTED_L0, dtype=torch.int32)},
        folder / "model.safetensors",
        metadata={"format": "pt", "tunediff": json.dumps({"schemaVersion": 1, "sites": sites})},
    )
    dictionary = load_file(folder / "model.safetensors")
    margins = []
    for document in documents:
        document["codes"], margin = encode(dictionary, pair(document))
        margins.append(margin)
    l0 = float(torch.cat([(d["codes"] > 0).sum(1)[1:].double() for d in documents]).mean())
    norms = rows.norm(dim=2)
    medians = norms.sort(dim=0).values[len(norms) // 2]

    table = torch.cat(
        [torch.stack([metrics(forward("finetuned", c["ids"], layer, hybrid(i, c, dictionary).float())[0], c) for i in interventions(n_latents)])
         for c in chats],
        dim=2,
    )
    first = torch.tensor([f for c in chats for f in c["first"]], dtype=torch.bool)
    template = torch.tensor([c["template"][p] for c in chats for p in c["positions"]], dtype=torch.bool)
    # "template" here are first tokens of answers, predicted from the header: outside both sets in the paper's text.
    sets = {"all": torch.ones_like(first), "firstNine": first, "rest": ~first, "restAfterNine": ~first & ~template}

    fired = torch.cat([c["codes"] for c in chats])
    energy = fired.square().sum(0) * dictionary["decoder.weight"][1].double().square().sum(1)
    conversations_fired = torch.stack([(c["codes"] > 0).any(0) for c in chats]).sum(0)
    some = torch.argsort(energy, descending=True)[:40:2].tolist()
    latents = []
    for latent in some:
        direction = dictionary["decoder.weight"][1, latent].double()
        ways = {}
        for way, start, sign in [("add", "base", 1), ("remove", "finetuned", -1)]:
            values = [
                metrics(forward("finetuned", c["ids"], layer, (c["h"][start] + sign * c["codes"][:, latent : latent + 1] * direction).float())[0], c)[0]
                for c in chats
            ]
            ways[way] = {"klMean": float(torch.cat(values).mean()), "klByChat": [round(float(v.sum()), 6) for v in values]}
        latents.append({"latent": latent, "conversationsFired": int(conversations_fired[latent]),
                        "rate": float((fired[:, latent] > 0).double().mean()), "energy": float(energy[latent]), **ways})

    def splice_cases():
        cases = {}
        for name, factor, all_rows in [("ordinary", OUTLIER_FACTOR, False), ("lowLimits", LOW_FACTOR, False), ("all", OUTLIER_FACTOR, True)]:
            limits = factor * medians
            for document in documents:
                over = torch.stack([document["h"][s].norm(dim=1) > limits[i] for i, s in enumerate(SIDES)]).any(0)
                over[0] = False  # BOS is BOS
                document["outlier"] = over
            def keep(document):
                stays = document["outlier"].clone()
                stays[0] = True
                return torch.zeros_like(stays) if all_rows else stays
            cases[name] = {"normLimits": limits.tolist(), "spliceAll": all_rows,
                           **{side: splice(side, documents, dictionary, layer, keep) for side in SIDES}}
        return cases

    save_file(
        {"table": table.float().contiguous(), "nonZero": (fired > 0).sum(1).to(torch.uint8)},
        folder / "cases.safetensors",
    )
    for file in folder.iterdir():
        file.chmod(0o644)
    top = torch.cat([c["logits"]["finetuned"][c["positions"]] for c in chats]).topk(2).values
    print(f"L{layer}: l0 {l0:.2f}, nearest activation to its threshold {min(margins):.1e} of {threshold:.3g}, "
          f"nearest second token {float((top[:, 0] - top[:, 1]).min()):.1e}, None {float(table[0, 0].mean()):.4f}, "
          f"all {float(table[1, 0].mean()):.4f}, error {float(table[2, 0].mean()):.4f}")
    return {
        "layer": layer,
        "threshold": threshold,
        "nearestToThreshold": min(margins),
        "l0": l0,
        "interventions": [
            {**i, "sets": summary(t, sets)} for i, t in zip(interventions(n_latents), table, strict=True)
        ],
        "latents": latents,
        "splice": splice_cases(),
    }


def main(corpus):
    chats, texts = choose_documents(corpus)
    for chat in chats:
        chat["positions"], chat["first"] = predicted(chat)
    documents = chats + texts
    flat = lambda values, dtype: torch.tensor([v for part in values for v in part], dtype=dtype)
    starts = lambda parts: torch.tensor([0, *np.cumsum([len(p) for p in parts])], dtype=torch.int32)
    save_file(
        {
            "tokenBase": flat([d["base"] for d in documents], torch.int32),
            "tokenFinetuned": flat([d["ids"] for d in documents], torch.int32),
            "rowStart": starts([d["ids"] for d in documents]),
            "isTemplate": flat([c["template"] for c in chats], torch.uint8),
            "isAssistant": flat([c["assistant"] for c in chats], torch.uint8),
            "positionStart": starts([c["positions"] for c in chats]),
            "positions": flat([c["positions"] for c in chats], torch.int32),
            "isFirstNine": flat([c["first"] for c in chats], torch.uint8),
        },
        HERE / "chats.safetensors",
    )
    golden = {
        "madeBy": Path(__file__).name,
        "versions": {"python": platform.python_version(), "torch": torch.__version__,
                     "transformers": transformers.__version__, "numpy": np.__version__},
        "weights": {s: hashlib.sha256((PAIR / s / "model.safetensors").read_bytes()).hexdigest() for s in SIDES},
        "ids": [d["id"] for d in documents],
        "nChats": len(chats),
        "metrics": METRICS,
        "layers": [make_layer(layer, n, chats, texts) for layer, n in LAYERS.items()],
    }
    (HERE / "golden.json").write_text(json.dumps(golden) + "\n")
    for file in [HERE / "golden.json", HERE / "chats.safetensors"]:
        file.chmod(0o644)
    print({str(f.relative_to(HERE)): f.stat().st_size for f in sorted(HERE.rglob("*.*")) if f.is_file()})


if __name__ == "__main__":
    main(sys.argv[1])
