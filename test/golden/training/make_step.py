"""Golden numbers for src/training/golden.test.ts: three steps of a BatchTopK crosscoder by torch's autograd.

Written from the equations alone (arXiv:2504.02922, App. B.2, un-squared reconstruction norm, variance-normalised
auxiliary loss, residual detached), independently of the TypeScript. Small sizes; thresholds lowered so that the
auxiliary loss and clipping act; the margin of every selection is asserted, so that f32 rounding cannot change it.

Run: python make_step.py > step.json        made with torch 2.13.0+cpu
"""

import json

import torch

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(20250402)
n_rows, d_model, n_sites, n_latents, k = 24, 6, 2, 20, 2
aux_latents, aux_alpha, dead_after, max_norm, lr = 3, 1 / 32, 48, 0.05, 1e-2


def normal(*shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float32)


def flat(tensor):
    return [float(f"{value:.9g}") for value in tensor.detach().reshape(-1).tolist()]


# Field layout: encoder [site, d, latent], decoder [site, latent, d].
direction = normal(n_latents, d_model)
direction = 0.3 * direction / direction.norm(dim=1, keepdim=True)
parameters = {
    "encoderWeight": (direction.T[None].repeat(n_sites, 1, 1) + 0.05 * normal(n_sites, d_model, n_latents)).requires_grad_(),
    "encoderBias": (0.05 * normal(n_latents)).requires_grad_(),
    "decoderBias": (0.1 * normal(n_sites, d_model)).requires_grad_(),
    "decoderWeight": (direction[None].repeat(n_sites, 1, 1) + 0.05 * normal(n_sites, n_latents, d_model)).requires_grad_(),
}
# Some latents can hardly win the selection and die, yet stay positive on some rows.
with torch.no_grad():
    parameters["decoderWeight"][:, 14:] *= 0.05


def rows_of_latents(name, tensor):
    """Our layout: [latent, site · d] rows; biases as they are."""
    if name == "encoderWeight":
        return flat(tensor.permute(2, 0, 1))
    if name == "decoderWeight":
        return flat(tensor.permute(1, 0, 2))
    return flat(tensor)


golden = {
    "torch": torch.__version__,
    "options": dict(nRows=n_rows, dModel=d_model, nSites=n_sites, nLatents=n_latents, k=k, auxLatents=aux_latents,
                    auxAlpha=aux_alpha, deadAfterRows=dead_after, maxGradientNorm=max_norm, learningRate=lr),
    "initial": {name: rows_of_latents(name, tensor) for name, tensor in parameters.items()},
    "steps": [],
}
optimiser = torch.optim.Adam(parameters.values(), lr=lr, betas=(0.9, 0.999))
rows_since_fired = torch.zeros(n_latents, dtype=torch.long)

# Batches of different size give gradients of different size: only then does Adam feel the clipping.
for size in (1.0, 0.5, 2.0):
    x = size * normal(n_rows, n_sites, d_model)
    pre = torch.einsum("bld,ldf->bf", x, parameters["encoderWeight"]) + parameters["encoderBias"]
    code = pre.relu()
    weight = parameters["decoderWeight"].norm(dim=2).sum(dim=0)
    activation = (code * weight).detach()

    ordered = activation.flatten().sort(descending=True).values
    smallest, dropped = ordered[k * n_rows - 1], ordered[k * n_rows]
    assert smallest > 0 and (smallest - dropped) / smallest > 1e-4, "selection too close to call"
    kept = (activation >= smallest).float()
    fired = kept.sum(dim=0) > 0
    rows_since_fired += n_rows
    rows_since_fired[fired] = 0
    dead = rows_since_fired >= dead_after

    reconstruction = torch.einsum("bf,lfd->bld", code * kept, parameters["decoderWeight"]) + parameters["decoderBias"]
    residual = x - reconstruction
    loss = residual.norm(dim=2).mean()

    aux_loss = torch.zeros(())
    if dead.any():
        k_aux = min(aux_latents, int(dead.sum()))
        among_dead = activation.masked_fill(~dead, -1.0)
        top = among_dead.topk(k_aux, dim=1)
        mask = torch.zeros_like(activation).scatter_(1, top.indices, 1.0)
        error = residual.detach().reshape(n_rows, -1)
        aux_reconstruction = torch.einsum("bf,lfd->bld", code * mask, parameters["decoderWeight"]).reshape(n_rows, -1)
        variance = (error - error.mean(dim=0)).pow(2).sum(dim=1).mean()
        aux_loss = ((error - aux_reconstruction).pow(2).sum(dim=1).mean() / variance).nan_to_num(0.0)

    optimiser.zero_grad()
    (loss + aux_alpha * aux_loss).backward()
    gradients = {name: rows_of_latents(name, tensor.grad) for name, tensor in parameters.items()}
    norm = torch.nn.utils.clip_grad_norm_(parameters.values(), max_norm)
    optimiser.step()
    golden["steps"].append({
        "x": flat(x), "loss": loss.item(), "auxLoss": aux_loss.item(), "nDead": int(dead.sum()),
        "smallestActivation": smallest.item(), "gradientNorm": norm.item(), "gradients": gradients,
    })

assert sum(step["auxLoss"] > 0 for step in golden["steps"]) >= 2, "the auxiliary loss must act"
assert all(step["gradientNorm"] > max_norm for step in golden["steps"]), "clipping must act"
golden["final"] = {name: rows_of_latents(name, tensor) for name, tensor in parameters.items()}
print(json.dumps(golden))
