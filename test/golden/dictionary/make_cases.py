"""Golden files for src/dictionary/encode-file.test.ts: what the reference classes encode and decode.

Uses CrossCoder and BatchTopKCrossCoder of science-of-finetuning/dictionary_learning, commit 173f7fa: from_pretrained,
save_pretrained, encode, decode. Each folder holds a dictionary (model.safetensors, config.json) and case.safetensors:
base, finetuned [n, d] in raw units and what the reference makes of them: codes [n, D], reconstructionBase,
reconstructionFinetuned [n, d]. Folders ours* are written by make_ours.ts and only read here.

Run: python make_cases.py    made with torch 2.13.0+cpu, safetensors 0.8.0, huggingface_hub 1.33.0; einops and
dictionary_learning.utils (neither takes part in encode or decode) were replaced by stand-ins of the same signature.
"""

import json
import os
import tempfile
from pathlib import Path

import torch
from dictionary_learning.dictionary import BatchTopKCrossCoder, CrossCoder
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)
here = Path(__file__).parent
d, n_latents, n_rows = 10, 32, 24
MARGIN = 1e-4  # no activation is nearer to its threshold: f32 rounding (about 1e-6 here) cannot change a selection


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def weights(seed):
    return {
        "encoder.weight": 0.4 * normal(2, d, n_latents, seed=seed),
        "encoder.bias": -0.5 + 0.2 * normal(n_latents, seed=seed + 1),
        "decoder.bias": 0.3 * normal(2, d, seed=seed + 2),
        "decoder.weight": 0.4 * normal(2, n_latents, d, seed=seed + 3),
    }


def statistics(seed):
    return {"activation_mean": 3 * normal(2, d, seed=seed), "activation_std": normal(2, d, seed=seed + 1).abs() + 0.2}


def activations(model, seed):
    """[n, 2, d] raw rows; the first is all zeros in normalised space, the last is ten times as long as the rest."""
    x = normal(n_rows, 2, d, seed=seed)
    x[0] = 0
    x[-1] *= 10
    if model.has_activation_normalizer:
        x = model.denormalize_activations(x)
    return x


@torch.no_grad()
def write_case(name, model, seed):
    x = activations(model, seed)
    codes = model.encode(x)
    reconstruction = model.decode(codes)
    pre = model.normalize_activations(x)
    pre = torch.einsum("bld,ldf->bf", pre, model.encoder.weight) + model.encoder.bias
    threshold = float(getattr(model, "threshold", torch.tensor(0.0)))
    scaled = pre if threshold <= 0 else pre * model.get_code_normalization()
    nearest = float((scaled - max(threshold, 0)).abs().min()) / max(threshold, 1)
    assert nearest > MARGIN, (name, nearest)
    kept = (codes != 0).float().mean()
    assert 0.02 < kept < 0.7, (name, kept)
    print(f"{name}: kept {kept:.3f}, nearest to its threshold {nearest:.1e}")
    save_file(
        {
            "base": x[:, 0].contiguous(),
            "finetuned": x[:, 1].contiguous(),
            "codes": codes,
            "reconstructionBase": reconstruction[:, 0].contiguous(),
            "reconstructionFinetuned": reconstruction[:, 1].contiguous(),
        },
        here / name / "case.safetensors",
    )


def publish(name, model):
    model.save_pretrained(here / name)
    (here / name / "README.md").unlink(missing_ok=True)


def fill(model, seed):
    model.load_state_dict(weights(seed), strict=False)
    return model


def from_checkpoint(cls, state):
    """The reference's own reader of .pt files, over the given state dict."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model_final.pt")
        torch.save(state, path)
        return cls.from_pretrained(path)


# Ours, read by the reference.
for seed, name in enumerate(["ours", "ours-raw", "ours-relu", "ours-sae", "ours-none"]):
    cls = CrossCoder if name == "ours-relu" else BatchTopKCrossCoder
    model = cls.from_pretrained(str(here / name), from_hub=True)
    assert model.has_activation_normalizer == (name not in ("ours-raw", "ours-none"))
    assert str(model.code_normalization) == {"ours-sae": "SAE", "ours-none": "NONE"}.get(name, "CROSSCODER")
    write_case(name, model, 500 + seed)

# Four tensors and the config of a published ReLU crosscoder, saved before the buffers existed.
(here / "relu-old").mkdir(exist_ok=True)
save_file(weights(100), here / "relu-old" / "model.safetensors")
old_config = {
    "activation_dim": d,
    "dict_size": n_latents,
    "encoder_layers": None,
    "init_with_transpose": True,
    "norm_init_scale": None,
    "num_layers": 2,
    "same_init_for_all_layers": False,
}
(here / "relu-old" / "config.json").write_text(json.dumps(old_config, indent=2))
write_case("relu-old", CrossCoder.from_pretrained(str(here / "relu-old"), from_hub=True), 600)

# The present ReLU class, normalised.
publish("relu-new", fill(CrossCoder(d, n_latents, 2, **statistics(210), target_rms=4.0), 200))
write_case("relu-new", CrossCoder.from_pretrained(str(here / "relu-new"), from_hub=True), 601)

# BatchTopK as a trainer makes it, normalised, calibrated.
model = fill(
    BatchTopKCrossCoder(d, n_latents, 2, k=3, **statistics(310), target_rms=3.0, code_normalization="crosscoder"), 300
)
model.threshold.fill_(3.0)
publish("batchtopk", model)
write_case("batchtopk", BatchTopKCrossCoder.from_pretrained(str(here / "batchtopk"), from_hub=True), 602)

# The way of published ones: .pt → class → save_pretrained. config.json now says k = 100, the buffer 3.
model = from_checkpoint(BatchTopKCrossCoder, model.state_dict())
publish("batchtopk-again", model)
assert json.loads((here / "batchtopk-again" / "config.json").read_text()).get("k", 100) == 100
write_case("batchtopk-again", model, 603)

# torch.compile's prefix, as left in by a conversion of the raw checkpoint; threshold still −1.
state = fill(BatchTopKCrossCoder(d, n_latents, 2, k=3), 400).state_dict()
prefixed = {f"_orig_mod.{key}": value.clone() for key, value in state.items()}
(here / "compiled").mkdir(exist_ok=True)
save_file(prefixed, here / "compiled" / "model.safetensors")
assert all(key.startswith("_orig_mod.") for key in load_file(here / "compiled" / "model.safetensors"))
write_case("compiled", from_checkpoint(BatchTopKCrossCoder, prefixed), 604)

# Other code normalisations.
for name, threshold, seed in [("sae", 2.2, 605), ("none", 0.9, 606)]:
    model = fill(BatchTopKCrossCoder(d, n_latents, 2, k=3, code_normalization=name), seed + 100)
    model.threshold.fill_(threshold)
    publish(name, model)
    write_case(name, BatchTopKCrossCoder.from_pretrained(str(here / name), from_hub=True), seed)
