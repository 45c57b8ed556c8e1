"""Golden files for src/training/reference-trainers.test.ts: ten steps of the reference trainers, everything kept.

Runs BatchTopKCrossCoderTrainer and CrossCoderTrainer of science-of-finetuning/dictionary_learning (commit 173f7fa) through
their own update() on small seeded arrays, two sites, and writes reference-runs/CASE.json: every batch, learning rate, loss,
gradient (as backward left it, before clipping), smallest kept activation, theta and dead count, the parameters at the start
and after ten steps, and the margins of all selections. Nothing of the reference is kept here; its checkout is an argument.

What is not as its constructor makes it, and why:
- dead_feature_threshold is hard-coded to 10,000,000 tokens: set on the instance to two batches, so that aux-k acts.
- threshold_start_step, threshold_beta, warmup_steps, decay_start are constructor arguments, chosen so that each acts.
- top_k_aux (activation_dim // 2) and the clipping norm (1.0, hard-coded in update) are as they are: batches of different
  size have gradients above and below 1.
- the starting parameters are those of its constructor plus noise, so that sites differ and biases are not 0; the last
  latents get a small encoder, so that they seldom win and die.
- update() is watched by wrapping loss, encode and get_auxiliary_loss on the instance and by hooks that autograd calls; each
  wrapper returns what it was given. loss(logging=True) is never called: it would age the latents.

Margins: a selection is too close to call in float32 when the last kept and the first dropped activation, or a
pre-activation and 0, are nearer than float32's rounding (some 1e-6 of the value after ten steps). Seeds are tried in order until all margins of a run are above
SELECTION_MARGIN (relative) and GATE_MARGIN (relative to the batch's root mean square); both are in the file.

Run: python make_reference_runs.py CHECKOUT_OF_DICTIONARY_LEARNING
Made with torch 2.13.0+cpu. einops, and dictionary_learning.utils (for its two functions on unit-norm decoders), neither of
which takes part here, are stand-ins.
"""

import base64
import importlib
import json
import sys
import types
from pathlib import Path

import torch

torch.set_num_threads(1)
HERE = Path(__file__).parent
D_MODEL, N_LATENTS, BATCH, STEPS, WEAK = 12, 48, 32, 10, 16
SELECTION_MARGIN = 1e-4
GATE_MARGIN = 2e-5
MAX_NORM = 1.0
# Two small, then larger and smaller ones: gradients on both sides of the clipping norm.
SIZES = [3.0, 0.5, 9.0, 0.4, 6.0, 0.5, 12.0, 5.0, 0.4, 8.0]


def load_reference(checkout):
    """Its modules without its package's __init__, which imports language-model code."""
    root = Path(checkout) / "dictionary_learning"
    for name, folder in (("dictionary_learning", root), ("dictionary_learning.trainers", root / "trainers")):
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    sys.modules.setdefault("einops", types.ModuleType("einops"))
    utils = types.ModuleType("dictionary_learning.utils")
    utils.set_decoder_norm_to_unit_norm = utils.remove_gradient_parallel_to_decoder_directions = None
    sys.modules[utils.__name__] = utils
    return importlib.import_module("dictionary_learning.trainers.crosscoder")


def packed(tensor):
    """float32, little-endian, base64: exact and small."""
    return base64.b64encode(tensor.detach().to(torch.float32).contiguous().numpy().tobytes()).decode()


# Field layout: encoder [site, d, latent], decoder [site, latent, d]; ours [latent, site · d] for both.
LAYOUT = {
    "encoder.weight": ("encoderWeight", (2, 0, 1)),
    "encoder.bias": ("encoderBias", None),
    "decoder.weight": ("decoderWeight", (1, 0, 2)),
    "decoder.bias": ("decoderBias", None),
}


def named(tensors):
    result = {}
    for name, tensor in tensors.items():
        ours, order = LAYOUT[name]
        result[ours] = packed(tensor if order is None else tensor.permute(*order))
    return result


def make_batches(generator):
    """Rows of three of twenty concepts each, noise, and an offset that gives the bias median something to find."""
    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    concepts = normal(20, 2, D_MODEL)
    concepts = concepts / concepts.norm(dim=(1, 2), keepdim=True)
    offset = 0.3 * normal(2, D_MODEL)
    for size in SIZES:
        chosen = torch.stack([torch.randperm(20, generator=generator)[:3] for _ in range(BATCH)])
        strength = 1 + torch.rand(BATCH, 3, generator=generator)
        rows = torch.einsum("bc,bcld->bld", strength, concepts[chosen])
        yield size * (rows + 0.1 * normal(BATCH, 2, D_MODEL) + offset)


def disturb(model, generator):
    with torch.no_grad():
        model.decoder.weight.copy_(model.encoder.weight.transpose(1, 2))  # what init_with_transpose does, with einops
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
        # Latents of unequal norm in the two sites: only then do the code normalisations select differently.
        model.decoder.weight[1] *= 0.2 + torch.rand(N_LATENTS, 1, generator=generator)
        model.encoder.weight[:, :, -WEAK:] *= 0.3


def last_kept_margin(values, count):
    """(last kept − first dropped) / last kept over the last axis; infinite where all positive ones are kept."""
    ordered = values.sort(descending=True, dim=-1).values
    if count >= ordered.shape[-1]:
        return float("inf")
    kept, dropped = ordered[..., count - 1], ordered[..., count]
    relevant = kept > 0
    return float(((kept - dropped) / kept)[relevant].min()) if relevant.any() else float("inf")


class Watch:
    """What one update() did, read off without changing it."""

    def __init__(self, trainer):
        self.trainer, model = trainer, trainer.ae
        self.gradients = {}
        for name, parameter in model.named_parameters():
            parameter.register_post_accumulate_grad_hook(
                lambda p, name=name: self.gradients.__setitem__(name, p.grad.clone())
            )
        model.encoder.register_forward_hook(self.after_encoder)
        self.wrap(trainer, "loss", lambda result, *_: self.keep(total=float(result.detach())))

    def wrap(self, owner, name, look):
        inner = getattr(owner, name)

        def outer(*args, **kwargs):
            assert not kwargs.get("logging")
            result = inner(*args, **kwargs)
            look(result, *args)
            return result

        object.__setattr__(owner, name, outer)

    def keep(self, **facts):
        self.facts.update(facts)

    def after_encoder(self, encoder, args, result):
        (x,) = args
        pre = torch.einsum("bld,ldf->bf", x, encoder.weight) + encoder.bias
        self.keep(x=x.detach().clone(), pre=pre.detach())

    def step(self, index, batch):
        self.facts = {}
        learning_rate = self.trainer.optimizer.param_groups[0]["lr"]
        self.trainer.update(index, batch.clone())
        gradients = {name: self.gradients[name] for name in LAYOUT}
        norm = float(torch.sqrt(sum(g.double().pow(2).sum() for g in gradients.values())))
        return gradients, {"learningRate": learning_rate, "gradientNorm": norm, "gradients": named(gradients)}


def run_batch_top_k(reference, seed, *, normalisation, k_max=None, annealing=0, normalised=False):
    generator = torch.Generator().manual_seed(seed)
    batches = list(make_batches(generator))
    statistics = {}
    if normalised:
        batches = [3 * batch + torch.tensor([5.0, -40.0])[None, :, None] for batch in batches]
        everything = torch.cat(batches)
        statistics = {
            "activation_mean": everything.mean(0),
            "activation_std": everything.std(0),
            "target_rms": 4.0,
        }
    trainer = reference.BatchTopKCrossCoderTrainer(
        steps=STEPS, activation_dim=D_MODEL, dict_size=N_LATENTS, k=2, k_max=k_max, k_annealing_steps=annealing,
        layer=0, lm_name="none", lr=1e-2, warmup_steps=3, decay_start=7, threshold_beta=0.9, threshold_start_step=2,
        seed=seed, device="cpu", **statistics,
        dict_class_kwargs={"norm_init_scale": 0.5, "same_init_for_all_layers": True, "init_with_transpose": False,
                           "code_normalization": normalisation},
    )
    disturb(trainer.ae, generator)
    trainer.dead_feature_threshold = 2 * BATCH
    initial = named({name: p.clone() for name, p in trainer.ae.named_parameters()})
    watch = Watch(trainer)
    watch.wrap(trainer.ae, "encode", lambda result, *_: watch.keep(scaled=result[1].detach(), all=result[4].detach()))
    watch.wrap(trainer, "get_auxiliary_loss", lambda result, residual, *_: watch.keep(
        aux=float(result.detach()), l2=float(residual.norm(dim=-1).mean())))
    steps, margins = [], []
    for index, batch in enumerate(batches):
        before = float(trainer.ae.threshold)
        gradients, record = watch.step(index, batch)
        facts, k = watch.facts, int(trainer.ae.k)
        dead = trainer.num_tokens_since_fired >= trainer.dead_feature_threshold
        n_dead = int(dead.sum())
        weak = facts["pre"][:, dead]
        margins.append({
            "selection": last_kept_margin(facts["all"].flatten(), k * BATCH),
            "auxSelection": last_kept_margin(facts["all"][:, dead], trainer.top_k_aux) if n_dead else float("inf"),
            "gate": float(weak.abs().min() / facts["pre"].pow(2).mean().sqrt()) if n_dead else float("inf"),
        })
        scaled = facts["scaled"]
        steps.append({
            "x": packed(batch), "k": k, "loss": facts["l2"], "auxLoss": facts["aux"], "total": facts["total"],
            "smallestActivation": float(scaled[scaled > 0].min()), "l0": float((scaled > 0).float().sum(1).mean()),
            "nDead": n_dead, "rowsSinceFired": trainer.num_tokens_since_fired.tolist(),
            "threshold": float(trainer.ae.threshold), **record,
        })
        assert (float(trainer.ae.threshold) != before) == (index > trainer.threshold_start_step)
        if index == 0:
            bias = packed(trainer.ae.decoder.bias)  # The update at step 0 has learning rate 0: this is the median.
    options = {
        "auxLatents": trainer.top_k_aux, "auxAlpha": trainer.auxk_alpha, "deadAfterRows": trainer.dead_feature_threshold,
        "maxGradientNorm": MAX_NORM, "codeNormalisation": normalisation, "reconstruction": "norm", "k": 2,
        "kStart": k_max, "kAnnealingSteps": annealing, "largestK": k_max or 2, "learningRate": 1e-2, "warmupSteps": 3,
        "decayStartStep": 7, "thresholdBeta": 0.9, "thresholdStartStep": 2,
    }
    if normalised:
        options["normaliser"] = {"mean": packed(statistics["activation_mean"]),
                                 "std": packed(statistics["activation_std"]), "targetRms": statistics["target_rms"]}
    if not all(m["selection"] > SELECTION_MARGIN and m["auxSelection"] > SELECTION_MARGIN and m["gate"] > GATE_MARGIN
               for m in margins):
        return None
    # Every mechanism acts in at least three of the steps, and clipping also does not in three.
    assert sum(step["auxLoss"] > 0 for step in steps) >= 3, "aux-k must act"
    assert sum(step["nDead"] > trainer.top_k_aux for step in steps) >= 3, "aux-k must have to choose"
    assert sum(step["gradientNorm"] > MAX_NORM and step["learningRate"] > 0 for step in steps) >= 3, "clipping must act"
    assert sum(step["gradientNorm"] < MAX_NORM for step in steps) >= 3, "clipping must not always act"
    assert len({step["threshold"] for step in steps}) >= 4, "theta must move"
    assert all(step["l0"] == step["k"] for step in steps)
    return {"sparsity": {"kind": "batchTopK"}, "options": options, "initial": initial, "median": bias, "steps": steps,
            "final": named(dict(trainer.ae.named_parameters())), "margins": smallest(margins)}


def run_l1(reference, seed, *, use_mse_loss, normalisation="crosscoder"):
    generator = torch.Generator().manual_seed(seed)
    batches = list(make_batches(generator))
    penalty = 0.05
    trainer = reference.CrossCoderTrainer(
        activation_dim=D_MODEL, dict_size=N_LATENTS, lr=1e-2, l1_penalty=penalty, warmup_steps=3, seed=seed, device="cpu",
        layer=0, lm_name="none", use_mse_loss=use_mse_loss,
        dict_class_kwargs={"norm_init_scale": 0.3, "same_init_for_all_layers": True, "init_with_transpose": False,
                           "code_normalization": normalisation},
    )
    disturb(trainer.ae, generator)
    initial = named({name: p.clone() for name, p in trainer.ae.named_parameters()})
    watch = Watch(trainer)
    trainer.ae.register_forward_hook(lambda _, args, result: watch.keep(error=(args[0] - result[0]).detach(),
                                                                        scaled=result[1].detach()))
    steps, margins = [], []
    for index, batch in enumerate(batches):
        _, record = watch.step(index, batch)
        facts = watch.facts
        norm = facts["error"].norm(dim=-1)
        scaled = facts["scaled"]
        margins.append({"gate": float(facts["pre"].abs().min() / facts["pre"].pow(2).mean().sqrt())})
        steps.append({
            "x": packed(batch), "k": 0, "loss": float((norm**2 if use_mse_loss else norm).mean()), "auxLoss": 0,
            "penaltyLoss": float(scaled.sum(-1).mean()), "total": facts["total"], "nDead": None,
            "smallestActivation": float(scaled[scaled > 0].min()), "l0": float((scaled > 0).float().sum(1).mean()),
            **record,
        })
    if not all(m["gate"] > GATE_MARGIN for m in margins):
        return None
    assert sum(step["gradientNorm"] > MAX_NORM for step in steps) >= 3, "clipping, were there any, would act"
    options = {
        "auxLatents": 1, "auxAlpha": 0, "deadAfterRows": 2 * BATCH, "maxGradientNorm": None,
        "codeNormalisation": normalisation, "reconstruction": "squared" if use_mse_loss else "norm", "k": 0, "largestK": 1,
        "learningRate": 1e-2, "warmupSteps": 3, "decayStartStep": STEPS,
    }
    return {"sparsity": {"kind": "reluL1", "penalty": penalty}, "options": options, "initial": initial, "steps": steps,
            "final": named(dict(trainer.ae.named_parameters())), "margins": smallest(margins)}


def smallest(margins):
    found = {name: min(m[name] for m in margins) for name in margins[0]}
    return {name: None if value == float("inf") else value for name, value in found.items()}


def main():
    reference = load_reference(sys.argv[1])
    top_k, l1 = run_batch_top_k, run_l1
    cases = {
        "batchtopk-crosscoder": (top_k, {"normalisation": "crosscoder"}),
        "batchtopk-sae": (top_k, {"normalisation": "sae"}),
        "batchtopk-none": (top_k, {"normalisation": "none"}),
        "batchtopk-annealed": (top_k, {"normalisation": "crosscoder", "k_max": 5, "annealing": 6}),
        "batchtopk-normalised": (top_k, {"normalisation": "crosscoder", "normalised": True}),
        "l1-norm": (l1, {"use_mse_loss": False}),
        "l1-squared": (l1, {"use_mse_loss": True}),
        "l1-sae": (l1, {"use_mse_loss": False, "normalisation": "sae"}),
    }
    (HERE / "reference-runs").mkdir(exist_ok=True)
    for name, (run, arguments) in cases.items():
        seed, result = 0, None
        while result is None:
            seed += 1
            result = run(reference, seed, **arguments)
        made = {"reference": "science-of-finetuning/dictionary_learning@173f7fa", "torch": torch.__version__, "seed": seed,
                "marginAtLeast": {"selection": SELECTION_MARGIN, "gate": GATE_MARGIN}}
        shape = {"dModel": D_MODEL, "nSites": 2, "nLatents": N_LATENTS, "batchRows": BATCH}
        path = HERE / "reference-runs" / f"{name}.json"
        path.write_text(json.dumps({"made": made, "shape": shape, **result}, indent=1) + "\n")
        path.chmod(0o644)
        steps = result["steps"]
        print(f"{name}: seed {seed}, margins {result['margins']}, dead {[s['nDead'] for s in steps]}, "
              f"norms {[round(s['gradientNorm'], 2) for s in steps]}, k {[s['k'] for s in steps]}, "
              f"{path.stat().st_size} bytes")


main()
