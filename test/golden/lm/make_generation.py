"""Greedy continuations of every family's tiny models.  Run after make_families.py: python test/golden/lm/make_generation.py

generation.json  for each family and seed: prompts, the tokens that transformers' generate() appends (eager attention, float32,
                 use_cache, no stop id), the smallest gap between the two highest logits on the way, versions

Each prompt runs alone, so no padding takes part. Prompts are drawn by the integer hash of make_families.py, again until the
gap is far above rounding and the continuation is not one token over and over. The windows are 5 and longrope changes at 8
tokens: every continuation passes both. gpt2-inverse-layer-scale ends at its 16 positions. phi3-longrope runs without cache:
where the factors change, transformers 5.18 drops the cache and goes on from the newest token alone, which no forward over
the whole sequence agrees with.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import transformers
from golden import versions
from make_families import HERE, MODELS, SEEDS, VOCAB, hashed, weights

LENGTHS = [3, 8, 5]
NEW_TOKENS = 24
LEAST_GAP = 1e-3
# Gemma's embedding is also its head, and is multiplied by √dModel on the way in: at the scale of make_families.py every
# token predicts itself. Here it is drawn smaller, so that the blocks decide.
EMBEDDING_SCALE = {"gemma": 0.02, "gemma2": 0.02, "gemma3": 0.02}
LEAST_DISTINCT = 6


def continuation(model, prompt: list[int], count: int, use_cache: bool):
    """The appended tokens and the smallest gap between first and second logit."""
    out = model.generate(
        input_ids=torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        do_sample=False,
        use_cache=use_cache,
        max_new_tokens=count,
        min_new_tokens=count,
        eos_token_id=None,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    gap = min(float(top[0, 0] - top[0, 1]) for top in (logits.topk(2).values for logits in out.logits))
    return out.sequences[0, len(prompt) :].tolist(), gap


def make(name: str) -> list[dict]:
    golden = json.loads((HERE / f"{name}.json").read_text())
    for tensor in golden["tensors"]:
        if "embed" in tensor["name"]:
            tensor["scale"] = EMBEDDING_SCALE.get(name, tensor["scale"])
    seeds = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            (folder / "config.json").write_text(json.dumps(golden["config"]))
            made = {t["name"]: torch.from_numpy(weights(seed, t)) for t in golden["tensors"]}
            safetensors.torch.save_file(made, folder / "model.safetensors", {"format": "pt"})
            model = transformers.AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, attn_implementation="eager"
            ).eval()
        positions = getattr(model.config, "n_positions", None) or model.config.max_position_embeddings
        sequences = []
        for length in LENGTHS:
            for attempt in range(400):
                prompt = (hashed(f"{seed}:greedy:{length}:{attempt}", length)[:, 0] % VOCAB).tolist()
                tokens, gap = continuation(
                    model, prompt, min(NEW_TOKENS, positions - length), name != "phi3-longrope"
                )
                if gap >= LEAST_GAP and len(set(tokens)) >= min(LEAST_DISTINCT, len(tokens) - 2):
                    break
            else:
                raise SystemExit(f"{name}, seed {seed}, length {length}: no prompt with a clear continuation")
            sequences.append({"prompt": prompt, "tokens": tokens, "smallestGap": round(gap, 6)})
        seeds.append({"seed": seed, "sequences": sequences})
    gaps = [one["smallestGap"] for each in seeds for one in each["sequences"]]
    distinct = [len(set(one["tokens"])) for each in seeds for one in each["sequences"]]
    print(f"{name}: smallest gap {min(gaps):.4f}, distinct tokens {min(distinct)}-{max(distinct)}", flush=True)
    return seeds


torch.set_num_threads(1)
families = {name: make(name) for name in sys.argv[1:] or MODELS}
described = {
    "madeBy": Path(__file__).name,
    "versions": versions(),
    "embeddingScale": EMBEDDING_SCALE,
    "families": families,
}
(HERE.parent / "generation.json").write_text(json.dumps(described) + "\n")
