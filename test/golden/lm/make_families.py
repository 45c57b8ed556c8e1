"""Golden files of every model family.  Run: python test/golden/lm/make_families.py [NAME ...]

families/NAME.json         config.json as transformers writes it, every stored tensor with the rule its weights follow, token
                           sequences, SHA-256 of the weights of each seed, versions
families/NAME.safetensors  SEED.CASE.residuals [layer, row, dModel] and SEED.CASE.logits [row, vocab], rows of real tokens
                           only, sequence after sequence

Weights are not stored: both sides compute them from (seed, tensor name, index) with the integer hash below, so they agree
bit for bit. They are scaled so that score caps, windows and head norms visibly act. Each case is one right-padded batch
in float32 with eager attention (sdpa leaves Gemma 2's score cap out); residuals come from hooks on the blocks.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
import transformers
from golden import versions

HERE = Path(__file__).parent / "families"
SEEDS = [1, 2, 3]
VOCAB = 101
# Windows are 5 and longrope changes at 8: "window" is longer than both, "padded" has one of each.
LENGTHS = {"plain": [7], "padded": [3, 10], "window": [14]}

SMALL = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4)
GROUPED = dict(**SMALL, num_key_value_heads=2, max_position_embeddings=64)
LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=500.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=32,
)
LONGROPE = dict(
    rope_type="longrope",
    rope_theta=100.0,
    partial_rotary_factor=0.5,
    short_factor=[1.0, 1.1, 1.3, 1.7],
    long_factor=[1.0, 1.5, 2.5, 6.0],
)
MODELS = {
    "gpt2": ("GPT2", dict(vocab_size=VOCAB, n_embd=32, n_layer=3, n_head=4, n_positions=32)),
    "gpt2-inverse-layer-scale": (
        "GPT2",
        dict(
            vocab_size=VOCAB,
            n_embd=32,
            n_layer=3,
            n_head=2,
            n_inner=40,
            n_positions=16,
            activation_function="gelu",
            scale_attn_by_inverse_layer_idx=True,
        ),
    ),
    "gpt-neox": ("GPTNeoX", dict(**{**SMALL, "hidden_size": 64}, max_position_embeddings=64)),
    "gpt-neox-sequential": (
        "GPTNeoX",
        dict(
            **{**SMALL, "hidden_size": 128, "num_attention_heads": 2},
            max_position_embeddings=64,
            use_parallel_residual=False,
        ),
    ),
    "llama-llama3": ("Llama", dict(**GROUPED, head_dim=16, rope_parameters=LLAMA3)),
    "llama-linear-bias-tied": (
        "Llama",
        dict(
            **GROUPED,
            attention_bias=True,
            mlp_bias=True,
            tie_word_embeddings=True,
            rope_parameters=dict(rope_type="linear", rope_theta=100.0, factor=3.0),
        ),
    ),
    "mistral": ("Mistral", dict(**GROUPED, head_dim=24, sliding_window=5)),
    "qwen2": ("Qwen2", dict(**GROUPED, use_sliding_window=True, sliding_window=5, max_window_layers=1)),
    "qwen3": ("Qwen3", dict(**{**GROUPED, "hidden_size": 40}, head_dim=16)),
    "gemma": ("Gemma", dict(**{**GROUPED, "num_key_value_heads": 1}, head_dim=16)),
    "gemma2": (
        "Gemma2",
        dict(
            **GROUPED,
            head_dim=16,
            sliding_window=5,
            query_pre_attn_scalar=20,
            attn_logit_softcapping=3.0,
            final_logit_softcapping=2.0,
        ),
    ),
    "gemma3": (
        "Gemma3Text",
        dict(
            **{**GROUPED, "num_hidden_layers": 4},
            head_dim=16,
            sliding_window=5,
            sliding_window_pattern=2,
            query_pre_attn_scalar=10,
            rope_parameters=dict(
                full_attention=dict(rope_type="linear", rope_theta=1000.0, factor=8.0),
                sliding_attention=dict(rope_type="default", rope_theta=10.0),
            ),
        ),
    ),
    "olmo2": ("Olmo2", dict(**GROUPED)),
    "phi3": ("Phi3", dict(**GROUPED, sliding_window=5, pad_token_id=0)),
    "phi3-longrope": (
        "Phi3",
        dict(
            **{**GROUPED, "hidden_size": 64},
            original_max_position_embeddings=8,
            rope_parameters=LONGROPE,
            pad_token_id=0,
        ),
    ),
}


def mix(x: np.ndarray) -> np.ndarray:
    """MurmurHash3's finaliser on uint32."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x85EBCA6B)
    x = x ^ (x >> np.uint32(13))
    x = x * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))


def hashed(key: str, count: int) -> np.ndarray:
    """[count, 2] uint32: two hashes of (key, index); the key goes in by FNV-1a."""
    start = 0x811C9DC5
    for byte in key.encode():
        start = ((start ^ byte) * 0x01000193) & 0xFFFFFFFF
    index = np.arange(count, dtype=np.uint32)
    first = mix(index * np.uint32(0x9E3779B1) + np.uint32(start))
    return np.stack([first, mix(first ^ np.uint32(0x5BD1E995))], axis=1)


def weights(seed: int, tensor: dict) -> np.ndarray:
    """offset + scale · (sum of four 16-bit uniforms, centred, over its deviation), float64 rounded to float32."""
    both = hashed(f"{seed}:{tensor['name']}", int(np.prod(tensor["shape"])))
    total = ((both & np.uint32(0xFFFF)).astype(np.int64) + (both >> np.uint32(16)).astype(np.int64)).sum(axis=1)
    values = tensor["offset"] + tensor["scale"] * ((total - 131070) / 37837)
    return values.astype(np.float32).reshape(tensor["shape"])


def rule(name: str, shape: list[int], is_gemma: bool) -> dict:
    """Scale and offset of a tensor's weights."""
    if name.endswith(".bias"):
        scale, offset = 0.3, 0.0
    elif len(shape) == 1:
        scale, offset = 0.3, 0.0 if is_gemma else 1.0
    elif any(part in name for part in ["embed", "wte", "wpe", "lm_head"]):
        scale, offset = 0.3, 0.0
    else:
        n_in = shape[0] if ".c_" in name else shape[1]
        scale, offset = round(1.5 / n_in**0.5, 6), 0.0
    return {"name": name, "shape": shape, "scale": scale, "offset": offset}


def forward(model, sequences: list[list[int]]):
    """Returns residuals [layer, row, dModel] and logits [row, vocab] of the real rows."""
    longest = max(map(len, sequences))
    tokens = torch.zeros(len(sequences), longest, dtype=torch.long)
    mask = torch.zeros_like(tokens)
    for i, sequence in enumerate(sequences):
        tokens[i, : len(sequence)] = torch.tensor(sequence)
        mask[i, : len(sequence)] = 1
    residuals = []

    def keep(_module, _inputs, output):
        residuals.append((output[0] if isinstance(output, tuple) else output).detach())

    base = model.base_model
    hooks = [block.register_forward_hook(keep) for block in (base.h if hasattr(base, "h") else base.layers)]
    with torch.no_grad():
        logits = model(input_ids=tokens, attention_mask=mask, use_cache=False).logits
    for hook in hooks:
        hook.remove()
    real = mask.bool()
    return torch.stack([residual[real] for residual in residuals]), logits[real]


def make(name: str) -> None:
    kind, options = MODELS[name]
    config = getattr(transformers, f"{kind}Config")(**options)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        stored = folder / "model.safetensors"
        with safetensors.safe_open(stored, "pt") as file:
            shapes = {key: list(file.get_slice(key).get_shape()) for key in sorted(file.keys())}
        tensors = [rule(key, shape, "gemma" in name) for key, shape in shapes.items()]
        written = json.loads((folder / "config.json").read_text())
        arrays, seeds = {}, []
        for seed in SEEDS:
            made = {tensor["name"]: weights(seed, tensor) for tensor in tensors}
            digest = hashlib.sha256(b"".join(value.tobytes() for value in made.values())).hexdigest()
            safetensors.torch.save_file(
                {key: torch.from_numpy(value) for key, value in made.items()}, stored, {"format": "pt"}
            )
            model = transformers.AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, attn_implementation="eager"
            ).eval()
            cases = {}
            for case, lengths in LENGTHS.items():
                drawn = hashed(f"{seed}:{case}", sum(lengths))[:, 0] % VOCAB
                cuts = np.cumsum(lengths)[:-1]
                cases[case] = [part.tolist() for part in np.split(drawn, cuts)]
                residuals, logits = forward(model, cases[case])
                arrays[f"{seed}.{case}.residuals"] = residuals.contiguous()
                arrays[f"{seed}.{case}.logits"] = logits.contiguous()
            seeds.append({"seed": seed, "weightsSha256": digest, "cases": cases})
    target = HERE / name
    safetensors.torch.save_file(arrays, target.with_suffix(".safetensors"))
    described = {
        "madeBy": Path(__file__).name,
        "versions": versions(),
        "config": written,
        "tensors": tensors,
        "seeds": seeds,
    }
    target.with_suffix(".json").write_text(json.dumps(described) + "\n")
    print(f"{target}: {target.with_suffix('.safetensors').stat().st_size} bytes")


if __name__ == "__main__":
    torch.set_num_threads(1)
    HERE.mkdir(exist_ok=True)
    for name in sys.argv[1:] or MODELS:
        make(name)
