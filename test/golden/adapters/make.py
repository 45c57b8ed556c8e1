"""Golden files for src/lm/adapter.test.ts: tiny random bases, LoRA adapters saved by PEFT, and PEFT's own merge.

    python make.py          writes base-*, adapter-* and merged-*.safetensors beside this file

Made with peft 0.21.0, transformers 5.18.0, torch 2.13.0, safetensors 0.8.0. B is random here (PEFT starts it at 0), and so
are biases and wholly saved modules.
"""

import shutil
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

HERE = Path(__file__).parent


def llama(tied: bool) -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=31, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, head_dim=8, max_position_embeddings=32, tie_word_embeddings=tied,
        )
    )


def gpt2() -> GPT2LMHeadModel:
    return GPT2LMHeadModel(GPT2Config(vocab_size=31, n_embd=16, n_layer=2, n_head=2, n_positions=32))


CASES = {
    "patterns": (
        lambda: llama(False),
        dict(
            r=4, lora_alpha=6, target_modules=["q_proj", "v_proj", "o_proj", "down_proj"], modules_to_save=["lm_head"],
            rank_pattern={"q_proj": 2, "model.layers.1.mlp.down_proj": 3, "layers.1.self_attn.v_proj": 5},
            alpha_pattern={"^model.layers.0.self_attn.v_proj": 3, ".*o_proj": 1.5},
        ),
    ),
    "embedding": (
        lambda: llama(False),
        dict(r=3, lora_alpha=5, use_rslora=True, target_modules=["embed_tokens", "lm_head", "gate_proj"]),
    ),
    "tied-head": (lambda: llama(True), dict(r=2, lora_alpha=4, target_modules=["up_proj", "lm_head"])),
    "conv1d": (
        gpt2,
        dict(r=3, lora_alpha=7, use_rslora=True, target_modules=["c_attn", "c_proj"], bias="all", fan_in_fan_out=True),
    ),
}

for seed, (name, (make, options)) in enumerate(CASES.items()):
    torch.manual_seed(seed)
    base = make()
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.normal_(std=0.3)
    for kind in ("base", "adapter"):
        shutil.rmtree(HERE / f"{kind}-{name}", ignore_errors=True)
    base.save_pretrained(HERE / f"base-{name}")
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **options))
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_" in key or "modules_to_save" in key or (options.get("bias") == "all" and key.endswith("bias")):
                parameter.normal_(std=0.3)
    tied = base.config.tie_word_embeddings and name == "tied-head"
    model.save_pretrained(HERE / f"adapter-{name}", save_embedding_layers=name == "embedding")
    for unused in (f"adapter-{name}/README.md", f"base-{name}/generation_config.json"):
        (HERE / unused).unlink(missing_ok=True)
    model.eval()
    tokens = torch.arange(12).reshape(1, 12) * 5 % 31
    with torch.no_grad():
        logits = model(tokens).logits  # before merging: a tied head and its embedding are told apart here
        if tied:
            # merge_and_unload would write the head's change into the shared tensor; the running model does not.
            head = model.base_model.model.lm_head
            merged = {"lm_head.weight": head.base_layer.weight + head.get_delta_weight("default")}
        else:
            merged = {key: value for key, value in model.merge_and_unload().state_dict().items()}
    tensors = {key: value.clone().contiguous() for key, value in merged.items()}
    save_file({**tensors, "logits": logits, "tokens": tokens}, HERE / f"merged-{name}.safetensors")
