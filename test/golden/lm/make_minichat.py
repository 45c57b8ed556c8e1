"""Golden files of the bundled pair.  Run after its weights change: python test/golden/lm/make_minichat.py

Writes minichat-base.{json,safetensors} and minichat-finetuned.{json,safetensors} beside itself; the JSON carries the
SHA-256 of the weight file, by which the test tells a stale golden from a wrong runner. Token ids come from a seed,
not from the tokenizer: the same ids fit every training of the pair.
"""

from pathlib import Path

import torch
from golden import write_golden
from transformers import AutoConfig

HERE = Path(__file__).parent
PAIR = HERE.parents[2] / "organisms" / "minichat"
# The last sequence is as long as a chat of the pair; all of it runs, a few rows of it are stored.
LENGTHS = [9, 1, 14, 160]
KEPT = [[0, 1, 2, 4, 8], [0], [0, 3, 6, 9, 13], [0, 1, 31, 64, 100, 127, 128, 159]]

for side in ["base", "finetuned"]:
    folder = PAIR / side
    vocab = AutoConfig.from_pretrained(folder).vocab_size
    generator = torch.Generator().manual_seed(7)
    sequences = [torch.randint(vocab, (n,), generator=generator).tolist() for n in LENGTHS]
    sequences[-1][0] = 1  # <bos>, where trained models keep their outlier rows
    write_golden(folder, HERE / f"minichat-{side}", sequences, KEPT, Path(__file__).name)
