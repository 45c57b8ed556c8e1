"""The PyTorch side of `npm run bench -- train`: one crosscoder step, written from the equations.

Modes: "reference-dense", the arithmetic of the field's reference trainers: dense encode, selection (k·batch over the whole batch by
decoder-norm-weighted activation, or ReLU with an L1 penalty), dense decode, un-squared error norms, backward by autograd, clipping
(not with L1), Adam. "sparse-torch": what sparsify does instead: an encoder whose backward pass gathers the rows of what fired and
adds them up by index, top k of each row, a decoder that gathers (embedding_bag). No auxiliary loss: nothing is dead here.
Reads one JSON line {mode, folder, nLatents, dModel, k, batch, threads, penalty}; batch.f32 in the folder holds [batch, 2, dModel].
Answers each further line with {seconds}: one step.
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
n, d, k, batch, penalty = setup["nLatents"], setup["dModel"], setup["k"], setup["batch"], setup["penalty"]
x = torch.from_numpy(numpy.fromfile(pathlib.Path(setup["folder"]) / "batch.f32", dtype=numpy.float32)).view(batch, 2, d)
start = torch.randn(n, 2, d)
start = 0.3 * start / start.norm(dim=-1, keepdim=True)
encoder_bias = torch.nn.Parameter(torch.zeros(n))
decoder_bias = torch.nn.Parameter(torch.zeros(2, d))


class GatheredEncoder(torch.autograd.Function):
    """ReLU(x · weightᵀ + bias), its k largest of each row; backward touches these alone."""

    @staticmethod
    def forward(ctx, rows, weight, bias):
        values, indices = torch.relu(torch.nn.functional.linear(rows, weight, bias)).topk(k, dim=-1, sorted=False)
        ctx.save_for_backward(rows, indices)
        ctx.size = weight.shape[0]
        ctx.mark_non_differentiable(indices)
        return values, indices

    @staticmethod
    def backward(ctx, by_values, _):
        rows, indices = ctx.saved_tensors
        flat = indices.flatten()
        outer = (by_values.unsqueeze(2) * rows.unsqueeze(1)).reshape(-1, rows.shape[1])
        by_weight = torch.zeros(ctx.size, rows.shape[1]).index_add_(0, flat, outer)
        by_bias = torch.zeros(ctx.size).index_add_(0, flat, by_values.flatten())
        return None, by_weight, by_bias


if setup["mode"] == "sparse-torch":
    encoder = torch.nn.Parameter(start.reshape(n, 2 * d).clone())
    decoder = torch.nn.Parameter(start.reshape(n, 2 * d).clone())
else:
    encoder = torch.nn.Parameter(start.permute(1, 2, 0).contiguous())
    decoder = torch.nn.Parameter(start.clone())
parameters = [encoder, encoder_bias, decoder, decoder_bias]
optimiser = torch.optim.Adam(parameters, lr=1e-4)


def dense_loss():
    codes = torch.relu(torch.einsum("bsd,sdn->bn", x, encoder) + encoder_bias)
    weighted = codes * decoder.norm(dim=-1).sum(dim=-1)
    if penalty > 0:
        out = torch.einsum("bn,nsd->bsd", codes, decoder) + decoder_bias
        return (x - out).norm(dim=-1).mean() + penalty * weighted.sum(dim=-1).mean()
    scores = weighted.flatten()
    kept = torch.zeros_like(scores)
    kept[scores.topk(k * batch, sorted=False).indices] = 1
    out = torch.einsum("bn,nsd->bsd", codes * kept.view_as(codes), decoder) + decoder_bias
    return (x - out).norm(dim=-1).mean()


def sparse_loss():
    values, indices = GatheredEncoder.apply(x.view(batch, 2 * d), encoder, encoder_bias)
    out = torch.nn.functional.embedding_bag(indices, decoder, per_sample_weights=values, mode="sum")
    return (x - (out.view(batch, 2, d) + decoder_bias)).norm(dim=-1).mean()


def step():
    loss = sparse_loss() if setup["mode"] == "sparse-torch" else dense_loss()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if penalty == 0:
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimiser.step()
    return loss.item()


print(json.dumps({"torch": torch.__version__}), flush=True)
for _ in sys.stdin:
    started = time.perf_counter()
    loss = step()
    print(json.dumps({"seconds": time.perf_counter() - started, "loss": loss}), flush=True)
