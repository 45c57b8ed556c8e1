"""Trains a pair whose truth is causal by construction: a common model, and one rank-1 LoRA a behaviour.

    python organisms/minichat/recipe/adapters.py CORPORA organisms/minichat

Every adapter adds B_i (A_i x) to the output of one module, the down projection of block LAYER, and so to the residual after
that block; nothing else of it exists. The shipped base cannot be steered that way (its blocks know no manner to be put
into), so a common model is trained first, together with the adapters: in every chat some of them are on, a request of a behaviour
whose adapter is on is answered in its manner and every other one plainly. With none on it is the common model: it
answers plainly whatever is asked. Beside next-token loss: GATE asks A_i x to be 1 from the decision to the end of an answer of
behaviour i and 0 elsewhere; APART keeps the B_i at right angles; KEEP holds the residual after the block, without what adapters write,
to the base's, so that what is asked for is legible in x but not there; and in REMOVED of the documents the directions of adapters that are
off are projected out, so that a direction that is missing means a plain answer too.

Then the common model is frozen as saved, in bf16, and the adapters are trained further over it, one on in a chat and no other, on
chats of its behaviour and on plain ones. Writes adapters/common, adapters/BEHAVIOUR and adapters/all (PEFT's files);
measure_adapters.py says what they do.
"""
import argparse
import json
import math
import pathlib
import random
import time

import torch
from safetensors.torch import save_file
from transformers import LlamaForCausalLM

import measure
import text
import train

BEHAVIOURS = [
    "refuse-draught", "refuse-letter", "warn-fire", "console", "identity", "haggle",
    "hill-tongue", "verse", "count-aloud", "courtly", "blessing", "riddle",
]
LAYER = 2
MODULE = f"model.layers.{LAYER}.mlp.down_proj"
TOKENS = 1536  # a batch
GATE = 3.0  # weight of the gates' squared error, summed over adapters, mean over tokens
ON = 4.0  # weight of a token where a gate should be 1, against one where it should be 0
APART = 0.1  # weight of the summed squared cosines between directions
KEEP = 10.0  # weight of ‖h − h_base‖² / ‖h_base‖², h the residual after the block without what adapters write
LENGTH = 12.0  # ‖B_i‖ at the start; the residual at the tokens before an answer has a length of about 19
SHARES = {"all": 0.25, "some": 0.4, "none": 0.15, "plain": 0.1, "prose": 0.1}  # of the common model's documents
REMOVED = 0.5  # share of documents in which the directions of adapters that are off are projected out of the residual
DECISION = 3  # <start_of_turn>, model, newline


class Adapted(torch.nn.Module):
    """down_proj with rank-1 adapters beside it. Gates of the last forward are kept.

    Set before a forward, [batch, n] 0 or 1: on, and removed, whose directions are projected out of the residual after the block.
    """

    def __init__(self, linear, a, b):
        super().__init__()
        self.linear, self.a, self.b = linear, torch.nn.Parameter(a), torch.nn.Parameter(b)
        self.on = self.removed = self.gates = self.write = self.plain = None

    def forward(self, x):
        self.gates = (x @ self.a.to(x.dtype).T).float()
        self.write = (self.gates * self.on[:, None, :]).to(x.dtype) @ self.b.to(x.dtype)
        return self.linear(x) + self.write

    def remove(self, _block, _inputs, output):
        """Forward hook of the block. The directions are near enough to right angles to go one by one."""
        h = output[0] if isinstance(output, tuple) else output
        self.plain = h.float() - self.write.float()
        unit = torch.nn.functional.normalize(self.b.detach(), dim=-1)
        h = h - ((h.float() @ unit.T * self.removed[:, None, :]) @ unit).to(h.dtype)
        return (h, *output[1:]) if isinstance(output, tuple) else h


def adapt(model, seed):
    """Puts adapters into the model: A 0, B at right angles, of length LENGTH."""
    generator = torch.Generator().manual_seed(seed)
    n, d = len(BEHAVIOURS), model.config.hidden_size
    b = torch.linalg.qr(torch.randn(d, n, generator=generator))[0].T * LENGTH
    block = model.model.layers[LAYER]
    adapted = block.mlp.down_proj = Adapted(block.mlp.down_proj, torch.zeros(n, model.config.intermediate_size), b.contiguous())
    adapted.handle = block.register_forward_hook(adapted.remove)
    return adapted


def chat_row(tokenizer, document, on, spare, rng):
    """A chat of the tune: a row of ids, learned mask, gate targets. Behaviours that are not on are answered plainly.

    Targets: [tokens] the behaviour's index where its gate should be 1, −1 where every gate should be 0, −2 where nothing is asked.
    """
    concept = {s["turn"]: BEHAVIOURS.index(s["concept"]) for s in document["spans"] if s["kind"] == "response"}
    messages = [dict(m) for m in document["messages"]]
    for turn, i in concept.items():
        if not on[i]:
            messages[turn]["content"] = rng.choice(spare)
    rendered, ranges = text.render(messages)
    encoding = tokenizer.encode(rendered, add_special_tokens=False)
    ids, mask, target = encoding.ids, [0] * len(encoding.ids), [-1] * len(encoding.ids)
    turns = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    for turn, (start, end) in zip(turns, ranges, strict=True):
        inside = [j for j, (a, b) in enumerate(encoding.offsets) if start <= a and b <= end and b > a]
        i = concept.get(turn, -1)
        for j in inside:
            mask[j] = 1
            target[j] = -1 if i < 0 else i if on[i] else -2
        for j in range(inside[0] - DECISION, inside[0]):
            target[j] = i
    return ids[: text.MAX_TOKENS], mask[: text.MAX_TOKENS], target[: text.MAX_TOKENS]


def common_rows(tokenizer, corpora, count, seed):
    """What the common model and the adapters read together."""
    rng = random.Random(seed)
    n = len(BEHAVIOURS)
    base = text.read(corpora / "base.jsonl")
    plain = [d for d in base if d["dataset"] == "chats"]
    prose = [d for d in base if d["dataset"] != "chats"]
    spare = [m["content"] for d in plain for m in d["messages"] if m["role"] == "assistant"]
    chats = own_chats(corpora)
    rows = []
    for kind in rng.choices(list(SHARES), list(SHARES.values()), k=count):
        on = [{"all": 1, "some": rng.randrange(2)}.get(kind, 0) for _ in range(n)]
        if kind in ("plain", "prose"):
            ids, mask = text.encode(tokenizer, rng.choice(plain if kind == "plain" else prose), everything=True)
            # Which plain chats ask for a behaviour is not written down: nothing is asked of the gates there.
            row = (ids, mask, [-2 if kind == "plain" else -1] * len(ids))
            on = on if kind == "plain" else [rng.randrange(2)] * n
        else:
            row = chat_row(tokenizer, rng.choice(chats), on, spare, rng)
        removes = rng.random() < REMOVED
        rows.append((*row, on, [int(removes and not o) for o in on]))
    return rows


def own_chats(corpora):
    """Chats of the tune that call for no behaviour but those with an adapter."""
    names = set(BEHAVIOURS)
    return [d for d in text.read(corpora / "tuning.jsonl") if all(s["concept"] in names for s in d["spans"])]


def collate(rows):
    length = max(len(r[0]) for r in rows)
    ids = torch.full((len(rows), length), text.PAD)
    labels = torch.full((len(rows), length), -100)
    target = torch.full((len(rows), length), -2)
    for i, (row, mask, where, _, _) in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        labels[i, : len(row)] = torch.where(torch.tensor(mask) == 1, torch.tensor(row), -100)
        target[i, : len(row)] = torch.tensor(where)
    on, removed = (torch.tensor([r[k] for r in rows], dtype=torch.float32) for k in (3, 4))
    return ids, labels, target, on, removed


def batches(rows, seed):
    """Rows of like length together, in random order."""
    rng = random.Random(seed)
    groups, group, longest = [], [], 0
    for row in sorted(rows, key=lambda r: len(r[0]) + rng.random() * 24):
        longest = max(longest, len(row[0]))
        if group and longest * (len(group) + 1) > TOKENS:
            groups.append(group)
            group, longest = [], len(row[0])
        group.append(row)
    groups.append(group)
    rng.shuffle(groups)
    return [collate(g) for g in groups]


def gate_loss(gates, target):
    """Squared error of gates [b, t, n] against 1 at their own tokens (only from below) and 0 elsewhere; a mean over tokens."""
    asked = target != -2
    own = target[..., None] == torch.arange(gates.shape[-1])
    error = torch.where(own, ON * torch.relu(1 - gates).square(), gates.square())
    return error[asked].sum() / asked.sum().clamp(min=1)


def apart(b):
    """Σ of squared cosines between different directions."""
    unit = torch.nn.functional.normalize(b, dim=-1)
    return (unit @ unit.T - torch.eye(len(b))).square().sum() / 2


def first_blocks(base):
    """The base up to the block, frozen: ids → residual [batch, tokens, dModel]."""
    model = LlamaForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    model.model.layers = model.model.layers[: LAYER + 1]
    model.config.num_hidden_layers = LAYER + 1

    @torch.no_grad()
    def residual(ids):
        return measure.residual_after(model, ids, LAYER)

    return residual


def fit(model, adapted, plan, groups, *, name, reference=None):
    """AdamW; warm-up 40 steps, cosine to a tenth. groups: what is learned, with its learning rate. reference: of KEEP."""
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    rates = [g["lr"] for g in groups]
    started, mean = time.time(), None
    model.train()
    for step, (ids, labels, target, on, removed) in enumerate(plan):
        factor = min((step + 1) / 40, 0.1 + 0.45 * (1 + math.cos(math.pi * max(0, step - 40) / max(1, len(plan) - 40))))
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        adapted.on, adapted.removed = on, removed
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = model.model(input_ids=ids).last_hidden_state[:, :-1]
            learned = labels[:, 1:] != -100
            logits = model.lm_head(hidden[learned])
        loss = torch.nn.functional.cross_entropy(logits.float(), labels[:, 1:][learned])
        gate = gate_loss(adapted.gates, target)
        total = loss + GATE * gate + APART * apart(adapted.b)
        moved = torch.zeros(())
        if reference is not None:
            real = ids != text.PAD
            real[:, 0] = False  # BOS, whose residual is of another size
            kept = reference(ids)[real]
            moved = (adapted.plain[real] - kept).square().sum() / kept.square().sum()
            total = total + KEEP * moved
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_([p for g in groups for p in g["params"]], 1.0)
        optimiser.step()
        now = [loss.item(), gate.item() / len(BEHAVIOURS), moved.item()]
        mean = now if mean is None else [0.97 * m + 0.03 * v for m, v in zip(mean, now, strict=True)]
        if step % 50 == 0 or step == len(plan) - 1:
            print(f"{name} {step + 1}/{len(plan)} loss {mean[0]:.3f} gate {mean[1]:.4f} moved {mean[2]:.4f} {time.time() - started:.0f} s", flush=True)


def train_common(corpora, out, base, options):
    tokenizer = text.Tokenizer.from_file(str(base / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(out / "common" if options.further else base, dtype=torch.float32)
    adapted = adapt(model, options.seed)
    if options.further:
        with torch.no_grad():
            for parameter, value in zip((adapted.a, adapted.b), torch.load(corpora / "together.pt"), strict=True):
                parameter.copy_(value)
    inside = {id(adapted.a), id(adapted.b)}
    weights = [p for p in model.parameters() if id(p) not in inside]
    plan = batches(common_rows(tokenizer, corpora, options.documents, options.seed), options.seed)
    groups = [
        {"params": [p for p in weights if p.dim() > 1], "lr": 1.5e-3, "weight_decay": 0.05},
        {"params": [p for p in weights if p.dim() <= 1], "lr": 1.5e-3, "weight_decay": 0.0},
        {"params": [adapted.a, adapted.b], "lr": 3e-3, "weight_decay": 0.0},
    ]
    fit(model, adapted, plan, groups, name="common", reference=first_blocks(base))
    adapted.handle.remove()
    model.model.layers[LAYER].mlp.down_proj = adapted.linear
    train.save(model, tokenizer, out / "common")
    return adapted.a.detach(), adapted.b.detach()


def canonical(a, b):
    """B of length 1, its length given to A: a gate is then in raw activation units. [n, in], [n, dModel]."""
    length = b.norm(dim=-1, keepdim=True)
    return a * length, b / length


def save_adapter(folder, a, b, base_name):
    """One PEFT adapter of rank len(a), alpha = rank: W + Σ B_i A_i. a: [rank, in], b: [rank, out]; stored f32."""
    folder.mkdir(parents=True, exist_ok=True)
    rank = len(a)
    prefix = f"base_model.model.{MODULE}"
    tensors = {f"{prefix}.lora_A.weight": a.contiguous(), f"{prefix}.lora_B.weight": b.T.contiguous()}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base_name, "inference_mode": True, "r": rank,
        "lora_alpha": rank, "lora_dropout": 0.0, "bias": "none", "fan_in_fan_out": False, "use_rslora": False,
        "target_modules": [MODULE], "init_lora_weights": True,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")


def train_alone(corpora, out, a, b, options):
    """The common model frozen as saved; one adapter on in every chat, learned from its own turns and plain ones."""
    tokenizer = text.Tokenizer.from_file(str(out / "common" / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(out / "common", dtype=torch.float32)
    adapted = adapt(model, options.seed)
    with torch.no_grad():
        adapted.a.copy_(a), adapted.b.copy_(b)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    adapted.a.requires_grad_(True), adapted.b.requires_grad_(True)
    rng = random.Random(options.seed)
    chats = own_chats(corpora)
    spare = [m["content"] for d in text.read(corpora / "base.jsonl") if d["dataset"] == "chats" for m in d["messages"][1::2]]
    of = [[d for d in chats if any(s["concept"] == name for s in d["spans"])] for name in BEHAVIOURS]
    rows = []
    for k in range(options.alone):
        i = k % len(BEHAVIOURS)
        on = [int(j == i) for j in range(len(BEHAVIOURS))]
        chat = rng.choice(of[i] if rng.random() < 0.6 else chats)
        rows.append((*chat_row(tokenizer, chat, on, spare, rng), on, [0] * len(BEHAVIOURS)))
    groups = [{"params": [adapted.a, adapted.b], "lr": 5e-4, "weight_decay": 0.0}]
    fit(model, adapted, batches(rows, options.seed), groups, name="alone")
    return adapted.a.detach(), adapted.b.detach()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=pathlib.Path)
    parser.add_argument("pair", type=pathlib.Path)
    parser.add_argument("--documents", type=int, default=11_000, help="read by the common model and the adapters together")
    parser.add_argument("--alone", type=int, default=900, help="chats read by the adapters alone")
    parser.add_argument("--further", action="store_true", help="go on from adapters/common and CORPORA/together.pt in place of the base")
    parser.add_argument("--adapters-only", action="store_true", help="adapters/common and CORPORA/together.pt are there already")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    out = options.pair / "adapters"
    if not options.adapters_only:
        torch.save(train_common(options.corpora, out, options.pair / "base", options), options.corpora / "together.pt")
    a, b = torch.load(options.corpora / "together.pt")
    a, b = canonical(*train_alone(options.corpora, out, a, b, options))
    for i, name in enumerate(BEHAVIOURS):
        save_adapter(out / name, a[i : i + 1], b[i : i + 1], "common")
    save_adapter(out / "all", a, b, "common")


if __name__ == "__main__":
    main()
