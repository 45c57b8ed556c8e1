"""Cuts data/bible-sample.txt out of the King James text of Debian's `bible-kjv-text` package.

Needs the Debian packages `bible-kjv` (the reader) and `bible-kjv-text`. Run: `python bible_sample.py > ../data/bible-sample.txt`.
The sample is committed; nobody needs to run this to use or to train the pair.
"""
import subprocess

PASSAGES = [
    "Gen1:1-Gen25:34", "Ex1:1-Ex4:31", "Ruth1:1-Ruth4:22", "1Sam16:1-1Sam18:30", "Prov10:1-Prov12:28",
    "Eccl1:1-Eccl5:20", "Jonah1:1-Jonah4:11", "Matt1:1-Matt8:34", "Luke10:1-Luke13:35",
]
LIMIT_BYTES = 290_000
VERSES_PER_PARAGRAPH = 4


def verses(passage: str) -> list[str]:
    lines = subprocess.run(["bible", "-f", passage], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.split(" ", 1)[1].strip() for line in lines if " " in line]


paragraphs = []
for passage in PASSAGES:
    found = verses(passage)
    for start in range(0, len(found), VERSES_PER_PARAGRAPH):
        paragraphs.append(" ".join(found[start : start + VERSES_PER_PARAGRAPH]))
size = 0
for paragraph in paragraphs:
    size += len(paragraph.encode()) + 2
    if size > LIMIT_BYTES:
        break
    print(paragraph, end="\n\n")
