"""Residuals and logits of a checkpoint as transformers computes them (eager attention, float32), stored as golden files.

Used by make_tiny_llama.py and make_minichat.py. Residuals come from forward hooks on the blocks, never from
`hidden_states`, whose last entry is taken after the final norm. Sequences run as one right-padded batch.
"""

import hashlib
import json
import platform
from pathlib import Path

import safetensors
import safetensors.torch
import torch
import transformers


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def versions() -> dict:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "safetensors": safetensors.__version__,
    }


def forward(folder: Path, sequences: list[list[int]]):
    """Returns residuals [layer, sequence, position, dModel] and logits [sequence, position, vocab], float32."""
    torch.set_num_threads(2)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    longest = max(map(len, sequences))
    tokens = torch.zeros(len(sequences), longest, dtype=torch.long)
    mask = torch.zeros_like(tokens)
    for i, sequence in enumerate(sequences):
        tokens[i, : len(sequence)] = torch.tensor(sequence)
        mask[i, : len(sequence)] = 1
    residuals = []

    def keep(_module, _inputs, output):
        residuals.append((output[0] if isinstance(output, tuple) else output).detach())

    for block in model.model.layers:
        block.register_forward_hook(keep)
    with torch.no_grad():
        logits = model(input_ids=tokens, attention_mask=mask, use_cache=False).logits
    return torch.stack(residuals), logits


def write_golden(folder: Path, target: Path, sequences: list[list[int]], kept: list[list[int]], script: str) -> None:
    """target + ".safetensors": residuals [layer, row, dModel], logits [row, vocab]; target + ".json": all the rest.

    kept[i]: positions of sequence i whose rows are stored, in order; rows of sequence 0 come first.
    """
    residuals, logits = forward(folder, sequences)
    at = [(i, position) for i, positions in enumerate(kept) for position in positions]
    index = torch.tensor(at).T
    safetensors.torch.save_file(
        {
            "residuals": residuals[:, index[0], index[1]].contiguous(),
            "logits": logits[index[0], index[1]].contiguous(),
        },
        target.with_suffix(".safetensors"),
    )
    weights = {path.name: sha256(path) for path in sorted(folder.glob("model*.safetensors"))}
    described = {
        "madeBy": script,
        "versions": versions(),
        "weights": weights,
        "sequences": sequences,
        "kept": kept,
    }
    target.with_suffix(".json").write_text(json.dumps(described) + "\n")
    print(f"{target}: {len(at)} rows, {target.with_suffix('.safetensors').stat().st_size} bytes")
