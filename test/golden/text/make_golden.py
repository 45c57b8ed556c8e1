"""Golden renders and token ids, made with transformers; also makes the three small tokenizer folders they need.

    python test/golden/text/make_golden.py            # all
    python test/golden/text/make_golden.py minichat   # only the named ones, e.g. after the bundled pair was made again

Needs transformers, tokenizers and jinja2 (made with transformers 5.18, tokenizers 0.22+). Writes NAME.json beside this
file; fixtures/NAME/ holds the folders. Each golden file carries the SHA-256 of the tokenizer.json and template it was
made from, so that the test can say "stale" instead of failing on ids.
"""
import hashlib
import json
import sys
from pathlib import Path

import tokenizers
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

HERE = Path(__file__).parent
ROOT = HERE.parent.parent.parent
CORPUS = (
    "In the beginning the earth was without form, and the river ran to the sea. The miller asked the baker for bread. "
    "What is the weather like today? I am sorry, I cannot help with that. How do I plant a garden in spring? "
    "Thank you, that was very helpful! The answer is 42, or 1,024 at most. user model assistant system\n"
    "Chapter one\n\nthe end\n\nuser\n\nYes.\n\nNo, not at all; it's a long way, and we'll go together. The old house stood on the hill. "
) * 40

LLAMA3_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

GEMMA_TEMPLATE = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
LLAMA3_TEMPLATE = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
CHATML_TEMPLATE = """{%- if messages[0]['role'] != 'system' %}
    {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

TEXTS = [
    "In the beginning the earth was without form.",
    "  Two spaces first, a tab\there, and three at the end   ",
    "Emoji 😀👩‍👩‍👧 and e\u0301 against é, naïve café, 中文字, ﬁ, \u200bzero width.",
    "lines\n\n\nand more\r\nlines\n",
    "it's 1024 o'clock; we'll see: $3.50 + 7% = ?",
    "x",
    "don't STOP!!! (really) [ok] {a} <b> </b> <| |>",
]


def chat(*contents, system=None):
    messages = [] if system is None else [{"role": "system", "content": system}]
    return messages + [{"role": ("user", "assistant")[i % 2], "content": c} for i, c in enumerate(contents)]


CHATS = [
    chat("How do I plant a garden?", "In spring, with water."),
    chat("What is the weather like today?"),
    chat("Hi", "Hello!", "Hi", "Hello!"),
    chat("  padded user  ", "\nnewline first", "tail\n\n", " both \n"),
    chat("Emoji 😀 first", "👩‍👩‍👧 then e\u0301 é 中", "😀"),
    chat("user", "model\nassistant", "<b>bold</b> <| almost |>", "end_of_turn"),
    chat("one\n\ntwo\n\nthree", "- a\n- b\n", "1,024?", "42.", "Thanks", "You are welcome."),
    chat("user\n", "user\nuser"),
    chat("x", "y", "z"),
]
SYSTEM_CHATS = [
    chat("Hello there", "Good day.", system="Be kind."),
    chat("Hello", system="  Padded system prompt. "),
]
EMPTY_CHATS = [chat("", "Say something."), chat("Nothing?", "")]


def byte_level(folder, split, normalizer, specials, plain_added, config, template, vocab_size=500, ignore_merges=False):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(split), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(
        [CORPUS], trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    )
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in specials])
    if plain_added:
        t.add_tokens([AddedToken(s, special=False, normalized=False) for s in plain_added])
    if config.get("bos_token"):
        bos = config["bos_token"]
        t.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(single=f"{bos}:0 $A:0", special_tokens=[(bos, t.token_to_id(bos))]),
        ])
    else:
        t.post_processor = processors.ByteLevel(trim_offsets=False)
    save(folder, t, config, template)


def sentencepiece_like(folder, config, template):
    """Gemma's shape: spaces become ▁ in the normalizer, BPE with byte fallback, control tokens inside the vocabulary."""
    t = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    t.normalizer = normalizers.Replace(" ", "▁")
    t.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    table = [f"<0x{i:02X}>" for i in range(256)]
    t.train_from_iterator(
        [CORPUS], trainers.BpeTrainer(vocab_size=700, special_tokens=specials + table, show_progress=False)
    )
    j = json.loads(t.to_str())
    j["added_tokens"] = [a for a in j["added_tokens"] if a["content"] in specials]
    j["pre_tokenizer"] = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    j["decoder"] = {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]}
    t = Tokenizer.from_str(json.dumps(j))
    t.post_processor = processors.TemplateProcessing(single="<bos>:0 $A:0", special_tokens=[("<bos>", 2)])
    save(folder, t, config, template)


def save(folder, t, config, template):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(json.loads(t.to_str()), ensure_ascii=False), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **config}, indent=1), encoding="utf-8"
    )
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8", newline="")


def make_fixture(name, folder):
    if name == "gemma-like":
        sentencepiece_like(
            folder, {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}, GEMMA_TEMPLATE
        )
    elif name == "llama3-like":
        byte_level(
            folder, LLAMA3_SPLIT, None,
            ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"], [],
            {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}, LLAMA3_TEMPLATE, ignore_merges=True,
        )
    elif name == "chatml":
        byte_level(
            folder, LLAMA3_SPLIT, normalizers.NFC(), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], ["<tool_call>"],
            {"bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}, CHATML_TEMPLATE,
        )


def file_hash(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def template_source(folder):
    jinja = folder / "chat_template.jinja"
    if jinja.exists():
        return jinja.read_text(encoding="utf-8")
    return json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template")


def bundled_documents():
    """A few real documents of the bundled pair's comparison text, where it is there."""
    for path in sorted((ROOT / "organisms/minichat").rglob("*.jsonl")):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:400]]
        found = [d for d in lines if "messages" in d][:5] + [d for d in lines if "text" in d][:3]
        if found:
            return found
    return []


def golden(name, folder):
    hf = AutoTokenizer.from_pretrained(folder)
    raw = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    raw["post_processor"] = None
    untrimmed = Tokenizer.from_str(json.dumps(raw))
    rows = []

    def add(kind, document, rendered, ids):
        encoding = untrimmed.encode(rendered, add_special_tokens=False)
        pieces = [rendered[a:b] for a, b in encoding.offsets]
        rows.append({"kind": kind, **document, "rendered": rendered, "ids": ids, "pieces": pieces})

    extra = bundled_documents() if name == "minichat" else []
    for text in TEXTS + [d["text"] for d in extra if "text" in d]:
        ids = hf(text, add_special_tokens=False)["input_ids"]
        bos = [hf.bos_token_id] if hf.bos_token_id is not None else []
        add("text", {"text": text}, text, bos + ids)
    for messages in CHATS + SYSTEM_CHATS + EMPTY_CHATS + [d["messages"] for d in extra if "messages" in d]:
        messages = [{"role": m["role"], "content": m["content"]} for m in messages]
        try:
            rendered = hf.apply_chat_template(messages, tokenize=False)
        except Exception as error:  # the template's own raise_exception
            rows.append({"kind": "refused", "messages": messages, "reason": str(error)})
            continue
        ids = hf.apply_chat_template(messages, tokenize=True, return_dict=False)
        add("chat", {"messages": messages}, rendered, ids)
    out = {
        "madeWith": {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__},
        "folder": str(folder.relative_to(ROOT)),
        "tokenizerSha256": file_hash(folder / "tokenizer.json"),
        "templateSha256": hashlib.sha256((template_source(folder) or "").encode()).hexdigest(),
        "rows": rows,
    }
    (HERE / f"{name}.json").write_text(json.dumps(out, ensure_ascii=False, indent=None) + "\n", encoding="utf-8")
    print(f"{name}: {len(rows)} rows, {sum(len(r.get('ids', [])) for r in rows)} ids")


def main():
    wanted = sys.argv[1:] or ["gemma-like", "llama3-like", "chatml", "minichat"]
    for name in wanted:
        folder = ROOT / "organisms/minichat/finetuned" if name == "minichat" else HERE / "fixtures" / name
        if name != "minichat":
            make_fixture(name, folder)
        if not (folder / "tokenizer.json").exists():
            print(f"{name}: no tokenizer in {folder}, left out")
            continue
        golden(name, folder)


if __name__ == "__main__":
    main()
