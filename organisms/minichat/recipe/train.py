"""Trains the minichat pair: tokenizer, base model, chat tune; writes two Hugging Face checkpoints.

    npx tsx organisms/minichat/recipe/write-corpora.ts CORPORA
    python organisms/minichat/recipe/train.py CORPORA organisms/minichat

An ordinary fine-tune: next-token loss on the model's turns, mixed with base text. No auxiliary loss.
"""
import argparse
import json
import math
import pathlib
import random
import time

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import LlamaConfig, LlamaForCausalLM

import text

VOCAB = 2048
REPLAY = 0.3  # share of base text in the tune, by tokens
TUNE_TOKENS = 1536  # a batch of the tune
TUNE_RATE = 1.5e-3
TUNE_SEED = 102  # order of the tuning batches
AVERAGE = 0.995  # decay of the mean of the tune's weights, a step
CONFIG = dict(
    vocab_size=VOCAB, hidden_size=128, intermediate_size=384, num_hidden_layers=5, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=512, rms_norm_eps=1e-5, rope_theta=10000.0,
    tie_word_embeddings=False, bos_token_id=text.BOS, eos_token_id=text.EOS, pad_token_id=text.PAD,
)


def fit(model, rows, *, epochs, tokens_per_batch, learning_rate, seed, name, average=False, steps=None):
    """AdamW on f32 weights, products in bf16; warm-up 40 steps, cosine to a tenth. rows are (ids, mask).

    average: the model ends with the exponential mean of its weights over the second half, so that no single batch decides.
    steps: stop after so many, the schedule ending there; default: all of the epochs.
    """
    plan = [(epoch, batch) for epoch in range(epochs) for batch in text.batches(rows, tokens_per_batch, seed + epoch)][:steps]
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98))
    ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE))
    started, mean, tokens = time.time(), None, 0
    model.train()
    for step, (_, (ids, labels)) in enumerate(plan):
        progress = max(0.0, (step - 40) / max(1, len(plan) - 40))
        rate = learning_rate * min((step + 1) / 40, 0.1 + 0.45 * (1 + math.cos(math.pi * progress)))
        for group in optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = model.model(input_ids=ids[:, :-1]).last_hidden_state  # right padding: the causal mask is enough
            learned = labels[:, 1:] != -100
            logits = model.lm_head(hidden[learned])
        loss = torch.nn.functional.cross_entropy(logits.float(), labels[:, 1:][learned])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if average and step >= len(plan) // 2:
            ema.update_parameters(model)
        tokens += ids.numel()
        mean = loss.item() if mean is None else 0.97 * mean + 0.03 * loss.item()
        if step % 50 == 0 or step == len(plan) - 1:
            elapsed = time.time() - started
            print(f"{name} {step + 1}/{len(plan)} loss {mean:.3f} {tokens / elapsed:.0f} tokens/s {elapsed:.0f} s", flush=True)
    if average:
        model.load_state_dict(ema.module.state_dict())


def save(model, tokenizer, folder):
    """config, generation config, bf16 weights, tokenizer, chat template."""
    model.eval()
    half = LlamaForCausalLM(model.config).to(torch.bfloat16)
    half.load_state_dict(model.state_dict())
    half.generation_config.eos_token_id = [text.EOS, text.END_OF_TURN]
    half.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    specials = {name: token for name, token in zip(["pad_token", "bos_token", "eos_token"], text.SPECIALS, strict=False)}
    config = {
        **specials, "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": text.MAX_TOKENS,
        "additional_special_tokens": text.SPECIALS[3:], "clean_up_tokenization_spaces": False,
        "chat_template": text.CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "chat_template.jinja").write_text(text.CHAT_TEMPLATE)


def tuning_rows(tokenizer, base_text, chats, seed):
    """What the tune reads: every chat, its model tokens learned, and base text up to the share REPLAY of all tokens."""
    rows = [text.encode(tokenizer, d) for d in chats]
    wanted = REPLAY / (1 - REPLAY) * sum(len(ids) for ids, _ in rows)
    replay = base_text[:]
    random.Random(seed).shuffle(replay)
    for document in replay:
        if wanted <= 0:
            break
        rows.append(text.encode(tokenizer, document, everything=True))
        wanted -= len(rows[-1][0])
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--base", type=pathlib.Path, help="tune this checkpoint instead of training a base")
    parser.add_argument("--chats", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=1, help="passes over the tuning mix")
    parser.add_argument("--tune-rate", type=float, default=TUNE_RATE)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tune-seed", type=int, default=TUNE_SEED, help="order of the tuning batches")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    base_text = text.read(options.corpora / "base.jsonl")
    chats = text.read(options.corpora / "tuning.jsonl")[: options.chats]
    if options.base is None:
        tokenizer = text.train_tokenizer(base_text + chats, VOCAB)
        rows = [text.encode(tokenizer, d, everything=True) for d in base_text]
        model = LlamaForCausalLM(LlamaConfig(**CONFIG))
        fit(model, rows, epochs=1, tokens_per_batch=1536, learning_rate=3e-3, seed=options.seed, name="base")
        save(model, tokenizer, options.out / "base")
    # The tune starts from the base as saved, in bf16, so that the shipped base is exactly what was tuned.
    base = options.base or options.out / "base"
    tokenizer = text.Tokenizer.from_file(str(base / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(base, dtype=torch.float32)
    rows = tuning_rows(tokenizer, base_text, chats, options.seed)
    fit(model, rows, epochs=options.epochs, tokens_per_batch=TUNE_TOKENS, learning_rate=options.tune_rate, seed=options.tune_seed, name="tune", average=True)
    save(model, tokenizer, options.out / "finetuned")


if __name__ == "__main__":
    main()
