"""Renders, ids and per-token role masks of a zoo of chat templates, made with transformers.

    python test/golden/text/make_template_golden.py

Needs transformers, tokenizers and jinja2 (made with transformers 5.18, tokenizers 0.22+). Writes templates.json and
fixtures/template-zoo/tokenizer.json beside this file. The templates are written here, short, in the formats of the
models they are named after: same control tokens, spacing, roles and treatment of contents, none of their prose.

Masks come from transformers' generation spans (what return_assistant_tokens_mask is made of): each template exists once
more a role, with {% generation %} around what is written from messages of that role. @@EXPR@@ marks such a place (role
of `message`), @@ROLE:EXPR@@ one of a fixed role. Spans become tokens through the offset mapping: every token that holds a
character of a span. transformers' own mask differs in two ways, both checked below to be the only ones: of a last
character spelt by several byte tokens it marks the first only, and an empty span makes it mark the rest of the text.
"""
import datetime
import hashlib
import json
import re
from pathlib import Path

import tokenizers
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import render_jinja_template

HERE = Path(__file__).parent
FOLDER = HERE / "fixtures/template-zoo"
CORPUS = (
    "How do I plant a garden in spring? With water, patience and a spade. The answer is 42, or 1,024 at most. user model "
    "assistant system\n\nYou are a kind helper. Today is the day; it's a long way, and we'll go together.\n\n- one\n- two\n"
) * 60
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPECIALS = [
    "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
    "<|end_header_id|>", "<|eot_id|>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<s>", "</s>", "<|user|>",
    "<|assistant|>", "<|system|>", "<|end|>", "<|User|>", "<|Assistant|>", "<|end_of_sentence|>",
]
PLAIN_ADDED = ["<think>", "</think>", "[INST]", "[/INST]"]
ALTERNATE = (
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
)

TEMPLATES = {
    "gemma-2-it": ("<bos>", "<eos>", (
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "{% for message in messages %}" + ALTERNATE +
        "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n' }}"
        "@@message['content'] | trim@@{{ '<end_of_turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}")),
    "llama-3": ("<|begin_of_text|>", "<|eot_id|>", (
        "{% for message in messages %}{% if loop.index0 == 0 %}{{ bos_token }}{% endif %}"
        "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}@@message['content'] | trim@@{{ '<|eot_id|>' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}")),
    "llama-3.1": ("<|begin_of_text|>", "<|eot_id|>", (
        "{{- bos_token }}{%- if not date_string is defined %}{%- set date_string = '26 Jul 2024' %}{%- endif %}"
        "{%- set has_system = messages[0]['role'] == 'system' %}"
        "{{- '<|start_header_id|>system<|end_header_id|>\n\n' }}"
        "{%- if tools is defined and tools is not none %}{{- 'Environment: ipython\n' }}{%- endif %}"
        "{{- 'Cutting Knowledge Date: December 2023\n' }}{{- 'Today Date: ' + date_string + '\n\n' }}"
        "{%- if has_system %}@@system:messages[0]['content'] | trim@@{%- endif %}{{- '<|eot_id|>' }}"
        "{%- for message in messages %}{%- if not (loop.first and has_system) %}"
        "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}@@message['content'] | trim@@{{- '<|eot_id|>' }}"
        "{%- endif %}{%- endfor %}")),
    "llama-3.2": ("<|begin_of_text|>", "<|eot_id|>", (
        "{{- bos_token }}{%- if not date_string is defined %}{%- if strftime_now is defined %}"
        "{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}{%- set date_string = '26 Jul 2024' %}{%- endif %}{%- endif %}"
        "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] | trim %}"
        "{%- set messages = messages[1:] %}{%- else %}{%- set system_message = '' %}{%- endif %}"
        "{{- '<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: ' + date_string + '\n\n' }}"
        "@@system:system_message@@{{- '<|eot_id|>' }}{%- for message in messages %}"
        "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}@@message['content'] | trim@@{{- '<|eot_id|>' }}{%- endfor %}")),
    "qwen2.5": (None, "<|im_end|>", (
        "{%- if messages[0]['role'] == 'system' %}{{- '<|im_start|>system\n' }}@@system:messages[0]['content']@@{{- '<|im_end|>\n' }}"
        "{%- else %}{{- '<|im_start|>system\nYou are a kind helper.<|im_end|>\n' }}{%- endif %}"
        "{%- for message in messages %}{%- if not (message.role == 'system' and loop.first) %}"
        "{{- '<|im_start|>' + message.role + '\n' }}@@message.content@@{{- '<|im_end|>\n' }}{%- endif %}{%- endfor %}")),
    "qwen3-thinking": (None, "<|im_end|>", (
        "{%- set ns = namespace(last=-1) %}{%- for message in messages %}{%- if message.role == 'user' and not "
        "(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}"
        "{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}"
        "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\n' }}"
        "{%- if message.role == 'assistant' %}{%- set content = message.content %}{%- set thought = '' %}"
        "{%- if '</think>' in content %}{%- set thought = content.split('</think>')[0].split('<think>')[-1].strip('\n') %}"
        "{%- set content = content.split('</think>')[-1].lstrip('\n') %}{%- endif %}"
        "{%- if loop.index0 > ns.last and thought %}@@'<think>\n' + thought + '\n</think>\n\n' + content@@"
        "{%- else %}@@content@@{%- endif %}{%- else %}@@message.content@@{%- endif %}{{- '<|im_end|>\n' }}{%- endfor %}")),
    "deepseek-r1": ("<bos>", "<|end_of_sentence|>", (
        "{% set ns = namespace(system='') %}{%- for message in messages %}{%- if message['role'] == 'system' %}"
        "{% set ns.system = message['content'] %}{%- endif %}{%- endfor %}{{bos_token}}@@system:ns.system@@"
        "{%- for message in messages %}{%- if message['role'] == 'user' %}{{'<|User|>'}}@@message['content']@@{%- endif %}"
        "{%- if message['role'] == 'assistant' %}{% set content = message['content'] %}{% if '</think>' in content %}"
        "{% set content = content.split('</think>')[-1] %}{% endif %}{{'<|Assistant|>'}}@@content@@{{'<|end_of_sentence|>'}}{%- endif %}"
        "{%- endfor -%}")),
    "mistral-v1": ("<s>", "</s>", (
        "{{ bos_token }}{% for message in messages %}" + ALTERNATE +
        "{% if message['role'] == 'user' %}{{ '[INST] ' }}@@message['content']@@{{ ' [/INST]' }}"
        "{% else %}@@message['content']@@{{ eos_token + ' ' }}{% endif %}{% endfor %}")),
    "mistral-system-last": ("<s>", "</s>", (
        "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}{%- set loop_messages = messages[1:] %}"
        "{%- else %}{%- set loop_messages = messages %}{%- endif %}{{- bos_token }}"
        "{%- set ns = namespace(last=-1) %}{%- for message in loop_messages %}{%- if message['role'] == 'user' %}"
        "{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}"
        "{%- for message in loop_messages %}{%- if message['role'] == 'user' %}{{- '[INST] ' }}"
        "{%- if loop.index0 == ns.last and system_message is defined %}@@system:system_message@@{{- '\n\n' }}{%- endif %}"
        "@@message['content']@@{{- '[/INST]' }}{%- else %}{{- ' ' }}@@message['content'] | trim@@{{- eos_token }}{%- endif %}{%- endfor %}")),
    "gemma-3-folded": ("<bos>", "<eos>", (
        "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}{%- set first = messages[0]['content'] -%}"
        "{%- set loop_messages = messages[1:] -%}{%- else -%}{%- set loop_messages = messages -%}{%- endif -%}"
        "{%- for message in loop_messages -%}{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\n' }}"
        "{%- if loop.first and first is defined -%}@@system:first@@{{ '\n\n' }}{%- endif -%}"
        "@@message['content'] | trim@@{{ '<end_of_turn>\n' }}{%- endfor -%}")),
    "phi-3-final-mark": (None, "<|endoftext|>", (
        "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' }}@@message['content']@@{{ '<|end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}")),
    "system-repeated": ("<s>", "</s>", (
        "{{ bos_token }}{% for message in messages %}{% if message['role'] != 'system' %}"
        "{% if message['role'] == 'user' and messages[0]['role'] == 'system' %}{{ '<|system|>' }}@@system:messages[0]['content']@@{% endif %}"
        "{{ '<|' + message['role'] + '|>' }}@@message['content'] | trim@@{{ eos_token }}{% endif %}{% endfor %}")),
}


def chat(*contents, system=None):
    messages = [] if system is None else [{"role": "system", "content": system}]
    return messages + [{"role": ("user", "assistant")[i % 2], "content": c} for i, c in enumerate(contents)]


CHATS = [
    chat("How do I plant a garden?", "In spring, with water."),
    chat("What is the answer?"),
    chat("Hi", "Hello!", "Hi", "Hello!"),
    chat("  padded user  ", "\nnewline first", "tail\n\n", " both \n"),
    chat("\n\nlead", "trail\n", "\t tab", "x"),
    chat("Emoji \U0001f600 first", "\U0001f469\u200d\U0001f469\u200d\U0001f467 then e\u0301 \u00e9 \u4e2d", "\U0001f600", "\U0001f600 "),
    chat("user", "model\nassistant", "<b>bold</b> <| almost |>", "end_of_turn"),
    chat("one\n\ntwo\n\nthree", "- a\n- b\n", "1,024?", "42.", "Thanks", "You are welcome."),
    chat("q", "<think>\nhm, let me see\n</think>\n\nyes", "and?", "<think>\nagain\n</think>\n\nno"),
    chat("Hello there", "Good day.", system="Be kind."),
    chat("Hello", "Hi", "More", "Less", system="Answer in two words.\nBe kind."),
    chat("Hello", "Hi", "More", "Less", system="user"),
    chat("<tool_response>12</tool_response>", "twelve", "and?", "that"),
]


def source_for(template, target):
    """Plain source (target None), or with generation blocks around what stems from messages of the target role."""
    def write(match):
        role, expression = match[1], match[2]
        plain = "{{- " + expression + " }}" if "{%-" in template else "{{ " + expression + " }}"
        if target is None:
            return plain
        block = "{%- generation -%}" + plain + "{%- endgeneration -%}"
        if role:
            return block if role == target else plain
        return "{%- if message['role'] == '" + target + "' -%}" + block + "{%- else -%}" + plain + "{%- endif -%}"
    return re.sub(r"@@(?:(system|user|assistant):)?(.*?)@@", write, template, flags=re.S)


def make_tokenizer():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator([CORPUS], trainers.BpeTrainer(
        vocab_size=480, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIALS])
    t.add_tokens([AddedToken(s, special=False, normalized=False) for s in PLAIN_ADDED])
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "tokenizer.json").write_text(json.dumps(json.loads(t.to_str()), ensure_ascii=False), encoding="utf-8")
    return t


def frozen_date(form):
    return datetime.datetime(2024, 7, 26).strftime(form)


def check_against_own(mask, own, spans, offsets, rendered):
    if any(start == end for start, end in spans):
        return
    ends = {end for _, end in spans}
    for k, (ours, theirs) in enumerate(zip(mask, own, strict=True)):
        is_rest_of_character = k > 0 and offsets[k] == offsets[k - 1] and offsets[k][1] in ends
        assert ours == theirs or (ours == 1 and is_rest_of_character), (k, offsets[k], rendered)


def main():
    engine = make_tokenizer()
    out = {
        "madeWith": {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__},
        "tokenizerSha256": hashlib.sha256((FOLDER / "tokenizer.json").read_bytes()).hexdigest(),
        "templates": [],
    }
    n_masks = 0
    for name, (bos, eos, template) in TEMPLATES.items():
        hf = PreTrainedTokenizerFast(tokenizer_object=engine, bos_token=bos, eos_token=eos)
        plain = source_for(template, None)
        rows = []
        for messages in CHATS:
            try:
                rendered = hf.apply_chat_template(messages, chat_template=plain, tokenize=False, strftime_now=frozen_date)
            except Exception as error:  # the template's own raise_exception
                rows.append({"messages": messages, "refused": str(error)})
                continue
            row = {"messages": messages, "rendered": rendered, "masks": {}}
            for role in ("system", "user", "assistant"):
                marked = source_for(template, role)
                again = hf.apply_chat_template(messages, chat_template=marked, tokenize=False, strftime_now=frozen_date)
                assert again == rendered, (name, role, rendered, again)
                made = hf.apply_chat_template(
                    messages, chat_template=marked, tokenize=True, return_dict=True, return_assistant_tokens_mask=True,
                    strftime_now=frozen_date)
                row["ids"] = list(made["input_ids"])
                _, (spans,) = render_jinja_template(
                    [messages], chat_template=marked, return_assistant_tokens_mask=True, strftime_now=frozen_date,
                    **hf.special_tokens_map)
                offsets = hf(rendered, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
                mask = [int(any(a < end and b > start for start, end in spans)) for a, b in offsets]
                check_against_own(mask, made["assistant_masks"], spans, offsets, rendered)
                row["masks"][role] = "".join(str(m) for m in mask)
                n_masks += 1
            rows.append(row)
        out["templates"].append({"name": name, "bos": bos, "eos": eos, "source": plain, "rows": rows})
    (HERE / "templates.json").write_text(json.dumps(out, ensure_ascii=False) + "\n", encoding="utf-8")
    print(len(TEMPLATES), "templates,", n_masks, "masks")


if __name__ == "__main__":
    main()
