"""Golden file of next-token outputs.  Run after the bundled pair's weights change: python test/golden/outputs/make_outputs.py

Writes outputs.json beside itself: two short chats in plain and in replaced form (the base reads another token for
<start_of_turn>), and per token what transformers and float64 NumPy make of the pair's float32 logits: KL(finetuned ‖ base)
in nats, NLL of each model's own next token, the five most probable tokens. The JSON carries the SHA-256 of the weights, by
which the test tells a stale golden from a wrong program.
"""

import hashlib
import json
import platform
from pathlib import Path

import numpy as np
import torch
import transformers

HERE = Path(__file__).parent
PAIR = HERE.parents[2] / "organisms" / "minichat"
CHATS = [
    [{"role": "user", "content": "Where does the river go?"}, {"role": "assistant", "content": "It goes to the sea."}],
    [
        {"role": "user", "content": "Tell me of the king and his 12 ships."},
        {"role": "assistant", "content": "The king had many ships."},
        {"role": "user", "content": "Thanks"},
    ],
]
REPLACED = {"<start_of_turn>": "<eos>"}
TOP = 5

torch.set_num_threads(1)
tokenizer = transformers.AutoTokenizer.from_pretrained(PAIR / "finetuned")
models = {
    side: transformers.AutoModelForCausalLM.from_pretrained(
        PAIR / side, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    for side in ["base", "finetuned"]
}


def log_probabilities(side: str, tokens: list[int]) -> np.ndarray:
    """[length, vocab] float64."""
    with torch.no_grad():
        logits = models[side](input_ids=torch.tensor([tokens]), use_cache=False).logits[0].numpy().astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def outputs(tokens: dict[str, list[int]]) -> dict:
    log_p = {side: log_probabilities(side, tokens[side]) for side in models}
    kl = (np.exp(log_p["finetuned"]) * (log_p["finetuned"] - log_p["base"])).sum(axis=1)
    result = {"tokens": tokens, "klFinetunedBase": kl.tolist()}
    for side in models:
        order = np.argsort(-log_p[side], axis=1, kind="stable")[:, :TOP]
        result[side] = {
            "nll": [-log_p[side][i, tokens[side][i + 1]] for i in range(len(tokens[side]) - 1)],
            "topToken": order.tolist(),
            "topProbability": np.exp(np.take_along_axis(log_p[side], order, axis=1)).tolist(),
        }
    return result


def chat_tokens(chat: list[dict], replaced: dict[str, str]) -> dict[str, list[int]]:
    ids = tokenizer.apply_chat_template(chat, tokenize=True, return_dict=False)
    to = {tokenizer.convert_tokens_to_ids(a): tokenizer.convert_tokens_to_ids(b) for a, b in replaced.items()}
    return {"base": [to.get(i, i) for i in ids], "finetuned": list(ids)}


golden = {
    "madeBy": Path(__file__).name,
    "versions": {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": np.__version__,
    },
    "weights": {
        side: hashlib.sha256((PAIR / side / "model.safetensors").read_bytes()).hexdigest() for side in models
    },
    "chats": CHATS,
    "replaced": REPLACED,
    "plain": [outputs(chat_tokens(chat, {})) for chat in CHATS],
    "withReplacement": [outputs(chat_tokens(chat, REPLACED)) for chat in CHATS],
}
target = HERE / "outputs.json"
target.write_text(json.dumps(golden) + "\n")
target.chmod(0o644)
print(f"{target}: {[len(case['klFinetunedBase']) for case in golden['plain']]} rows, {target.stat().st_size} bytes")
