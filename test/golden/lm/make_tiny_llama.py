"""Two tiny random Llamas and their golden files.  Run: python test/golden/lm/make_tiny_llama.py

tiny-gqa-llama3-tied  2 key heads for 4 heads, llama3 rope with all three bands in use, tied head, F32, one file,
                      config as transformers 5 writes it
tiny-bias-sharded     heads of 8, biases everywhere, untied, BF16 in several shards, config rewritten to the
                      dialect of transformers 4

Embeddings are small so that the norm's epsilon matters, matrices large so that attention is far from uniform.
"""

import json
import shutil
from pathlib import Path

import torch
from golden import write_golden
from transformers import LlamaConfig, LlamaForCausalLM

HERE = Path(__file__).parent


def make(name: str, seed: int, dtype: torch.dtype, shard_size: str, **config) -> Path:
    generator = torch.Generator().manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(**config))
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in key:
                parameter.copy_(1 + 0.2 * noise)
            elif "embed" in key:
                parameter.copy_(0.05 * noise)
            elif parameter.dim() == 2:
                parameter.copy_(1.5 * noise / parameter.shape[1] ** 0.5)
            else:
                parameter.copy_(0.2 * noise)
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model.to(dtype).save_pretrained(folder, max_shard_size=shard_size)
    (folder / "generation_config.json").unlink(missing_ok=True)
    return folder


def sequences(seed: int, vocab: int, lengths: list[int]) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(vocab, (n,), generator=generator).tolist() for n in lengths]


shared = dict(vocab_size=96, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, max_position_embeddings=256)

folder = make(
    "tiny-gqa-llama3-tied",
    1,
    torch.float32,
    "1GB",
    **shared,
    intermediate_size=48,
    num_key_value_heads=2,
    head_dim=16,
    rms_norm_eps=1e-5,
    tie_word_embeddings=True,
    rope_parameters=dict(
        rope_type="llama3",
        rope_theta=500.0,
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_position_embeddings=64,
    ),
)
inputs = sequences(11, 96, [90, 1, 7])
write_golden(folder, folder / "golden", inputs, [[0, 1, 2, 17, 63, 64, 89], [0], list(range(7))], Path(__file__).name)

folder = make(
    "tiny-bias-sharded",
    2,
    torch.bfloat16,
    "24KB",
    **shared,
    intermediate_size=40,
    num_key_value_heads=4,
    rms_norm_eps=1e-6,
    tie_word_embeddings=False,
    attention_bias=True,
    mlp_bias=True,
)
path = folder / "config.json"
config = json.loads(path.read_text())
config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
config["rope_scaling"] = None
config["torch_dtype"] = config.pop("dtype")
del config["head_dim"]
path.write_text(json.dumps(config, indent=2) + "\n")
inputs = sequences(12, 96, [5, 40])
write_golden(folder, folder / "golden", inputs, [list(range(5)), [0, 3, 20, 39]], Path(__file__).name)
