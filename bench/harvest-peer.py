"""The other side of `npm run bench -- harvest`: transformers over the same token lists, residual after one block kept.

Reads one JSON line {folder, sequences, layer, threads} from stdin and answers each further line {mode, batch} with
{seconds, tokens}: one pass in data order, right-padded to the longest of each batch, blocks beyond the layer cut off.
Writes nothing to disk.
"""
import json
import sys
import time

import torch
import transformers

transformers.logging.set_verbosity_error()
setup = json.loads(sys.stdin.readline())
torch.set_num_threads(setup["threads"])
sequences = [torch.tensor(ids) for ids in setup["sequences"]]
models = {}
for mode in ["eager", "sdpa"]:
    model = transformers.AutoModel.from_pretrained(
        setup["folder"], dtype=torch.float32, attn_implementation=mode, num_hidden_layers=setup["layer"] + 1
    )
    model.norm = torch.nn.Identity()
    models[mode] = model.eval()
print(json.dumps({"torch": torch.__version__, "transformers": transformers.__version__}), flush=True)


@torch.inference_mode()
def one_pass(model, batch):
    kept = []
    for start in range(0, len(sequences), batch):
        members = sequences[start : start + batch]
        ids = torch.nn.utils.rnn.pad_sequence(members, batch_first=True)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(m) for m in members], batch_first=True)
        whole = bool(mask.all())
        out = model(input_ids=ids, attention_mask=None if whole else mask, use_cache=False).last_hidden_state
        kept.extend(out[i, : len(m)].to(torch.bfloat16) for i, m in enumerate(members))
    return sum(len(rows) for rows in kept)


for line in sys.stdin:
    request = json.loads(line)
    started = time.perf_counter()
    tokens = one_pass(models[request["mode"]], request["batch"])
    print(json.dumps({"seconds": time.perf_counter() - started, "tokens": tokens}), flush=True)
