"""The PyTorch side of `npm run bench -- measure`: Latent Scaling (arXiv:2504.02922, section 2.3), written from the formulas.

Modes: "dense-identity", what a good dense program does: every number of every latent from one pass, batches of 2,048. The error
betas come from the others, beta_error(m) = beta_activation(m) - beta_reconstruction(m) + <d, d_m>/|d|^2, so that codes meet
activations and reconstructions in one product a batch, f^T [h, h_hat], for both directions at once; besides counts, means and
maxima of the codes and the fraction of variance explained. "reference", the arithmetic of the reference's scripts: a pass for each of
six targets, batches of 128, codes encoded anew in each, and for the two error targets an array of its own for every latent,
[latents, batch, d], here of a random subset of latents; the rest of the pass does not depend on the subset and is timed apart.
All in float32 with matmul precision "highest"; rows and weights lie in memory.

Reads one JSON line {mode, folder, nLatents, dModel, threshold, threads, subset}; the folder holds encoder, decoder [latent, 2 d],
encoderBias [latent], decoderBias [2 d] and rows [row, 2 d] as .f32 files. Answers each further line {nBatches?, betas?}:
dense-identity one pass over all rows: {seconds, rows, l0, fve}, and with betas: a path, to which it writes [latent, 12] f64: six betas along
the finetuned decoder direction (activation, reconstruction, error; base then finetuned), six along the base's.
reference: nBatches batches: {rows, everySeconds, subsetSeconds}.
"""
import json
import pathlib
import sys
import time

import numpy
import torch

setup = json.loads(sys.stdin.readline())
torch.set_num_threads(setup["threads"])
torch.set_float32_matmul_precision("highest")
torch.manual_seed(0)
n, d, threshold = setup["nLatents"], setup["dModel"], setup["threshold"]


def read(name, *shape):
    return torch.from_numpy(numpy.fromfile(pathlib.Path(setup["folder"]) / f"{name}.f32", dtype=numpy.float32)).view(*shape)


rows = read("rows", -1, 2 * d)
encoder = read("encoder", n, 2 * d)
decoder = read("decoder", n, 2 * d)
encoder_bias, decoder_bias = read("encoderBias", n), read("decoderBias", 2 * d)
norms = decoder.view(n, 2, d).norm(dim=2)
# A latent fires where f (|d_base| + |d_finetuned|) > threshold >= 0; so f > its own bound, and ReLU is implied.
bound = threshold / norms.sum(dim=1)


class Dense:
    BATCH = 2048

    def __init__(self):
        self.pre = torch.empty(self.BATCH, n)
        self.targets = torch.empty(self.BATCH, 4 * d)
        self.weight = encoder.t().contiguous()

    def one_pass(self):
        along = torch.zeros(n, 4 * d)  # sum of f times h of both models, then of h_hat
        fired, total, squared, largest = torch.zeros(n), torch.zeros(n), torch.zeros(n), torch.zeros(n)
        sum_h, sum_h2, sum_error = torch.zeros(2 * d), torch.zeros(2), torch.zeros(2)
        for start in range(0, len(rows), self.BATCH):
            h = rows[start : start + self.BATCH]
            f, targets = self.pre[: len(h)], self.targets[: len(h)]
            torch.addmm(encoder_bias, h, self.weight, out=f)
            f.masked_fill_(f <= bound, 0)
            targets[:, : 2 * d] = h
            targets[:, 2 * d :] = torch.addmm(decoder_bias, f, decoder)
            along.addmm_(f.t(), targets)
            fired += torch.count_nonzero(f, dim=0)
            total += f.sum(dim=0)
            squared += torch.linalg.vector_norm(f, dim=0).square_()
            torch.maximum(largest, f.amax(dim=0), out=largest)
            sum_h += h.sum(dim=0)
            sum_h2 += h.view(-1, 2, d).square().sum(dim=(0, 2))
            sum_error += (h - targets[:, 2 * d :]).view(-1, 2, d).square().sum(dim=(0, 2))
        variance = sum_h2 - sum_h.view(2, d).square().sum(dim=1) / len(rows)
        fve = 1 - float(sum_error.sum() / variance.sum())
        return along, fired, total, squared, largest, fve

    def betas(self, along, squared):
        along, squared = along.double().view(n, 2, 2, d), squared.double()  # [latent, h or h_hat, model, d]
        of_model = decoder.double().view(n, 2, d)
        parts = []
        for side in (1, 0):
            direction = of_model[:, side]
            size = direction.square().sum(dim=1)
            beta = torch.einsum("ntmd,nd->ntm", along, direction) / (squared * size).view(n, 1, 1)
            own = torch.einsum("nmd,nd->nm", of_model, direction) / size.view(n, 1)
            parts += [beta[:, 0], beta[:, 1], beta[:, 0] - beta[:, 1] + own]
        return torch.cat(parts, dim=1)

    def answer(self, request):
        started = time.perf_counter()
        along, fired, total, squared, largest, fve = self.one_pass()
        seconds = time.perf_counter() - started
        if request.get("betas"):
            self.betas(along, squared).numpy().tofile(request["betas"])
        return {"seconds": seconds, "rows": len(rows), "l0": float(fired.double().sum()) / len(rows), "fve": fve}


class Reference:
    BATCH = 128

    def __init__(self):
        self.encoder = encoder.view(n, 2, d).permute(1, 2, 0).contiguous()
        self.decoder = decoder.view(n, 2, d).permute(1, 0, 2).contiguous()
        self.all = torch.arange(n)
        self.subset = torch.randperm(n)[: setup["subset"]]
        self.next = 0

    def encode(self, h):
        f = torch.relu(torch.einsum("bld,ldn->bln", h, self.encoder).sum(dim=1) + encoder_bias)
        return f * (f * norms.sum(dim=1) > threshold)

    def decode(self, f):
        return torch.einsum("bn,lnd->bld", f, self.decoder) + decoder_bias.view(2, d)

    def add(self, sums, target, f, latents):
        """sums[0]: [d, latents] += target^T f, of latents active in this batch; sums[1] += |f|^2."""
        f = f[:, latents]
        count = (f != 0).sum(dim=0)
        active = count > 0
        f = f[:, active]
        if target.dim() == 2:
            sums[0][:, active] += target.t() @ f
        else:
            sums[0][:, active] += torch.matmul(target[active].transpose(1, 2), f.t().unsqueeze(-1)).squeeze(-1).t()
        sums[1][active] += f.square().sum(dim=0)
        sums[2] += count

    def without_own(self, h, reconstruction, f, own):
        """h - (h_hat - f_j d_j), an array for every latent: [latents, batch, d]."""
        stacked = reconstruction.unsqueeze(0).repeat(len(own), 1, 1)
        return h - (stacked - own.unsqueeze(1) * f.t().unsqueeze(-1))

    def answer(self, request):
        every = of_subset = 0.0
        sums = {key: [torch.zeros(d, len(of)), torch.zeros(len(of)), torch.zeros(len(of))]
                for key, of in (("activation", self.all), ("reconstruction", self.all), ("error", self.subset))}
        n_batches = request["nBatches"]
        for _ in range(n_batches):
            self.next = self.next + self.BATCH if self.next + 2 * self.BATCH <= len(rows) else 0
            batch = rows[self.next : self.next + self.BATCH].view(-1, 2, d)
            for side in (0, 1):
                started = time.perf_counter()
                self.add(sums["activation"], batch[:, side], self.encode(batch), self.all)
                f = self.encode(batch)
                self.add(sums["reconstruction"], self.decode(f)[:, side], f, self.all)
                f = self.encode(batch)
                reconstruction = self.decode(f)[:, side]
                shared = time.perf_counter()
                own = self.decoder[side][self.subset]
                target = self.without_own(batch[:, side], reconstruction, f[:, self.subset], own)
                self.add(sums["error"], target, f, self.subset)
                every += shared - started
                of_subset += time.perf_counter() - shared
        return {"rows": n_batches * self.BATCH, "everySeconds": every, "subsetSeconds": of_subset}


with torch.inference_mode():
    peer = Dense() if setup["mode"] == "dense-identity" else Reference()
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        print(json.dumps(peer.answer(json.loads(line))), flush=True)
