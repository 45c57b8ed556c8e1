"""Reads the generator's JSON lines, trains the tokenizer, renders chats, and cuts batches.

The chat template is Gemma's in shape. A document is one row of a batch, padded; documents never share a row.
"""
import json
import random

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

SPECIALS = ["<pad>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"]
PAD, BOS, EOS, START_OF_TURN, END_OF_TURN = range(5)
MAX_TOKENS = 512
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<start_of_turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
    "{{ message['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def read(path):
    with open(path, encoding="utf8") as file:
        return [json.loads(line) for line in file]


def render(messages, generation_prompt=False):
    """The rendered chat, and for each model message the character range of its content and closing token."""
    text, ranges = "<bos>", []
    for message in messages:
        text += f"<start_of_turn>{'model' if message['role'] == 'assistant' else 'user'}\n"
        start = len(text)
        text += message["content"].strip() + "<end_of_turn>"
        if message["role"] == "assistant":
            ranges.append((start, len(text)))
        text += "\n"
    return text + ("<start_of_turn>model\n" if generation_prompt else ""), ranges


def train_tokenizer(documents, vocab_size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=SPECIALS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    texts = []
    for document in documents:
        texts += [document["text"]] if "text" in document else [m["content"] for m in document["messages"]]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos> $B", special_tokens=[("<bos>", BOS)]
    )
    return tokenizer


def encode(tokenizer, document, everything=False):
    """Token ids and a 0/1 mask of the tokens that are learned: every token of prose, the model's tokens of a chat."""
    if "text" in document:
        ids = tokenizer.encode(document["text"]).ids + [EOS]
        return ids[:MAX_TOKENS], [1] * min(len(ids), MAX_TOKENS)
    text, ranges = render(document["messages"])
    encoding = tokenizer.encode(text, add_special_tokens=False)
    mask = [int(any(start <= a and b <= end and b > a for start, end in ranges)) for a, b in encoding.offsets]
    if everything:
        mask = [1] * len(mask)
    return encoding.ids[:MAX_TOKENS], mask[:MAX_TOKENS]


def turn_regions(tokenizer, document):
    """Token ids of a chat, and for each model turn the indices of its decision, answer and closing tokens."""
    rendered, ranges = render(document["messages"])
    encoding = tokenizer.encode(rendered, add_special_tokens=False)
    regions, prompt = {}, "<end_of_turn>\n<start_of_turn>model\n"
    turns = [i for i, m in enumerate(document["messages"]) if m["role"] == "assistant"]
    for turn, (start, end) in zip(turns, ranges, strict=True):
        first, last = start - len(prompt), end + 1
        regions[turn] = [i for i, (a, b) in enumerate(encoding.offsets) if first <= a and b <= last]
    return encoding.ids, regions


def batches(rows, tokens_per_batch, seed):
    """Rows of like length together, at most tokens_per_batch a batch; the batches in random order."""
    rng = random.Random(seed)
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i][0]) + rng.random() * 24))
    groups, group, longest = [], [], 0
    for i in order:
        longest = max(longest, len(rows[i][0]))
        if group and longest * (len(group) + 1) > tokens_per_batch:
            groups.append(group)
            group, longest = [], len(rows[i][0])
        group.append(i)
    groups.append(group)
    rng.shuffle(groups)
    for group in groups:
        yield collate([rows[i] for i in group])


def collate(rows):
    length = max(len(ids) for ids, _ in rows)
    ids = torch.full((len(rows), length), PAD)
    labels = torch.full((len(rows), length), -100)
    for i, (row, mask) in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        labels[i, : len(row)] = torch.where(torch.tensor(mask) == 1, torch.tensor(row), -100)
    return ids, labels
