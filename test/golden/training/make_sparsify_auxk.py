"""Golden file for src/training/reference-trainers.test.ts: the auxiliary loss of EleutherAI/sparsify and its gradients.

Runs SparseCoder.forward of sparsify (commit 9d3b136) on one site with a given dead mask and calls backward on its auxk_loss
alone. Three cases: more dead latents than k_aux = d_in // 2 and no decoder bias; the same with a bias; fewer dead than
k_aux. Each case carries the margin of the auxiliary selection. Its checkout is an argument; nothing of it is kept here.

Run: python make_sparsify_auxk.py CHECKOUT_OF_SPARSIFY
Made with torch 2.13.0+cpu; einops, natsort, simple_parsing and sparsify.utils do not take part, apart from decoder_impl,
for which torch's embedding_bag stands in, as in its eager_decode.
"""

import base64
import dataclasses
import importlib
import json
import sys
import types
from pathlib import Path

import torch
from torch.nn import functional

torch.set_num_threads(1)
HERE = Path(__file__).parent
WIDTH, N_LATENTS, BATCH, K, MARGIN = 12, 40, 32, 4, 1e-4


def load_sparsify(checkout):
    """Its SparseCoder without its package's __init__, which imports training on language models."""
    package = types.ModuleType("sparsify")
    package.__path__ = [str(Path(checkout) / "sparsify")]
    sys.modules["sparsify"] = package
    utils = types.ModuleType("sparsify.utils")
    utils.decoder_impl = lambda indices, acts, weight: functional.embedding_bag(
        indices, weight.mT, per_sample_weights=acts, mode="sum"
    )
    sys.modules[utils.__name__] = utils
    for name in ("einops", "natsort", "simple_parsing"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["natsort"].natsorted = sorted
    sys.modules["simple_parsing"].Serializable = object
    sys.modules["simple_parsing"].list_field = lambda *items: dataclasses.field(default_factory=lambda: list(items))
    return importlib.import_module("sparsify.sparse_coder"), importlib.import_module("sparsify.config")


def packed(tensor):
    return base64.b64encode(tensor.detach().to(torch.float32).contiguous().numpy().tobytes()).decode()


def make_case(module, config, *, seed, n_dead, bias):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    coder = module.SparseCoder(WIDTH, config.SparseCoderConfig(num_latents=N_LATENTS, k=K))
    with torch.no_grad():
        coder.encoder.weight.copy_(0.5 * normal(N_LATENTS, WIDTH))
        coder.encoder.bias.copy_(0.2 * normal(N_LATENTS))
        coder.W_dec.copy_(functional.normalize(normal(N_LATENTS, WIDTH), dim=1))
        coder.b_dec.copy_(bias * normal(WIDTH))
    x = normal(BATCH, WIDTH) + 0.5
    dead = torch.zeros(N_LATENTS, dtype=torch.bool)
    dead[-n_dead:] = True
    out = coder(x, dead_mask=dead)
    out.auxk_loss.backward()
    k_aux = min(WIDTH // 2, n_dead)
    with torch.no_grad():
        pre = coder.encoder(x - coder.b_dec)
        ordered = pre.relu()[:, dead].sort(dim=1, descending=True).values
        margin = 1.0 if k_aux == n_dead else float(((ordered[:, k_aux - 1] - ordered[:, k_aux]) / ordered[:, k_aux - 1])
                                                   .nan_to_num(1.0).min())
        gate = float(pre.abs().min())
    if margin < MARGIN or gate < MARGIN:
        return None
    return {
        "seed": seed, "nDead": n_dead, "margin": margin, "gate": gate, "x": packed(x),
        "parameters": {"encoderWeight": packed(coder.encoder.weight), "encoderBias": packed(coder.encoder.bias),
                       "decoderWeight": packed(coder.W_dec), "decoderBias": packed(coder.b_dec)},
        "saeOut": packed(out.sae_out), "auxLoss": float(out.auxk_loss.detach()),
        "gradients": {"encoderWeight": packed(coder.encoder.weight.grad), "encoderBias": packed(coder.encoder.bias.grad),
                      "decoderWeight": packed(coder.W_dec.grad), "decoderBias": packed(coder.b_dec.grad)},
    }


def main():
    module, config = load_sparsify(sys.argv[1])
    cases = {}
    for name, arguments in {
        "withoutBias": {"n_dead": 14, "bias": 0.0},
        "withBias": {"n_dead": 14, "bias": 0.4},
        "fewDead": {"n_dead": 3, "bias": 0.0},
    }.items():
        seed = 0
        while cases.get(name) is None:
            seed += 1
            cases[name] = make_case(module, config, seed=seed, **arguments)
        print(name, {key: cases[name][key] for key in ("seed", "margin", "gate", "auxLoss")})
    made = {"reference": "EleutherAI/sparsify@9d3b136", "torch": torch.__version__, "marginAtLeast": MARGIN}
    shape = {"width": WIDTH, "nLatents": N_LATENTS, "batchRows": BATCH, "k": K}
    path = HERE / "sparsify-auxk.json"
    path.write_text(json.dumps({"made": made, "shape": shape, "cases": cases}, indent=1) + "\n")
    path.chmod(0o644)


main()
