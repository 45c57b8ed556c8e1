"""The dense side of `npm run bench -- train`: one BatchTopK crosscoder step by autograd, written from the equations.

The arithmetic of the field's reference trainers: dense encode, top k·batch over the whole batch by decoder-norm-weighted
activation, dense decode, un-squared error norms, backward, clipping, Adam. No auxiliary loss: nothing is dead here.
Reads one JSON line {folder, nLatents, dModel, k, batch, threads}; batch.f32 in the folder holds [batch, 2, dModel]. Answers
each further line with {seconds}: one step.
"""
import json
import pathlib
import sys
import time

import numpy
import torch

setup = json.loads(sys.stdin.readline())
torch.set_num_threads(setup["threads"])
torch.manual_seed(0)
n, d, k, batch = setup["nLatents"], setup["dModel"], setup["k"], setup["batch"]
x = torch.from_numpy(numpy.fromfile(pathlib.Path(setup["folder"]) / "batch.f32", dtype=numpy.float32)).view(batch, 2, d)
decoder = torch.randn(n, 2, d)
decoder = torch.nn.Parameter(0.3 * decoder / decoder.norm(dim=-1, keepdim=True))
encoder = torch.nn.Parameter(decoder.detach().permute(1, 2, 0).contiguous())
encoder_bias = torch.nn.Parameter(torch.zeros(n))
decoder_bias = torch.nn.Parameter(torch.zeros(2, d))
parameters = [encoder, encoder_bias, decoder, decoder_bias]
optimiser = torch.optim.Adam(parameters, lr=1e-4)


def step():
    codes = torch.relu(torch.einsum("bsd,sdn->bn", x - decoder_bias, encoder) + encoder_bias)
    scores = (codes * decoder.norm(dim=-1).sum(dim=-1)).flatten()
    kept = torch.zeros_like(scores)
    kept[scores.topk(k * batch, sorted=False).indices] = 1
    out = torch.einsum("bn,nsd->bsd", codes * kept.view_as(codes), decoder) + decoder_bias
    loss = (x - out).norm(dim=-1).mean()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimiser.step()
    return loss.item()


print(json.dumps({"torch": torch.__version__}), flush=True)
for _ in sys.stdin:
    started = time.perf_counter()
    loss = step()
    print(json.dumps({"seconds": time.perf_counter() - started, "loss": loss}), flush=True)
