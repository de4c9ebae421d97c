#!/usr/bin/env python3
"""Writes tests/golden/sentencepiece: small tokenizer.model files and what transformers makes of texts with them.

Each folder is a model folder without tokenizer.json: a model trained on the corpus of make_tokenizer_golden.py, the
JSON files of one habit of writing them, and expected.json: for every text the ids, the tokens and the decoded text of
the slow LlamaTokenizer.

Needs: pip install 'transformers<5' sentencepiece protobuf (transformers 5 has no slow LlamaTokenizer). Models are
trained only where they are missing, so that they stay as they are. Run it again only to add cases; the files are read
by tests/text/sentencepiece_test.cpp.
"""

import contextlib
import io
import json
import pathlib
import random
import tempfile

import sentencepiece
from transformers import LlamaTokenizer

from make_tokenizer_golden import CORPUS, TEXTS

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "sentencepiece"

SPACES = [
    "  two", "   three", "two  ", " a b ", "a  b   c", "\n\n", " \n ", "\t", "x\n", "\nx", "a\r\nb", "\u3000", "\u2581",
    "a\u2581b", "\u2581a", " \u2581", "\u2581\u2581 a", "<0x41>", "<unk>", " <unk> ", "a<unk>b", "the  quick   brown fox",
]

# Replacements, so that a character map is in play: one character to several, several to one, one to none.
RULES = "FB01\t66 69\n3000\t20\nFF21\t41\n3318\t30B0 30E9 30E0\n65 301\tE9\n200B\t\n"


def token(content, **flags):
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
            "special": True, **flags}


DECODER = {"0": token("<unk>"), "1": token("<s>"), "2": token("</s>")}

FAMILIES = {
    # Mistral's first: legacy, everything named twice.
    "bpe_legacy": {
        "train": {"model_type": "bpe"},
        "tokenizer_config.json": {
            "add_bos_token": True, "add_eos_token": False, "added_tokens_decoder": DECODER,
            "additional_special_tokens": [], "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
            "pad_token": None, "legacy": True, "sp_model_kwargs": {}, "tokenizer_class": "LlamaTokenizer"},
    },
    # Without `legacy`, with tokens of all kinds behind the vocabulary.
    "bpe": {
        "train": {"model_type": "bpe"},
        "tokenizer_config.json": {
            "add_bos_token": True, "add_eos_token": True, "legacy": False, "tokenizer_class": "LlamaTokenizer",
            "added_tokens_decoder": {
                **DECODER, "700": token("<|im_start|>"), "701": token("<|im_end|>"), "702": token("<pad>"),
                "703": token("<left>", lstrip=True), "704": token("<right>", rstrip=True),
                "705": token("word", single_word=True, special=False), "706": token("<tool>", special=False),
                "707": token("<|im|>", special=False), "708": token("\n\n\n", special=False)},
            "additional_special_tokens": ["<|im_start|>", "<|im_end|>", "<left>", "<right>"],
            "bos_token": "<s>", "eos_token": "<|im_end|>", "unk_token": "<unk>", "pad_token": "<pad>"},
    },
    # Files of before added_tokens_decoder; legacy by default; a name without an id.
    "bpe_old": {
        "train": {"model_type": "bpe", "user_defined_symbols": ["[INST]"]},
        "tokenizer_config.json": {"bos_token": "<none>", "tokenizer_class": "LlamaTokenizer"},
        "special_tokens_map.json": {
            "bos_token": {**token("<s>"), "normalized": True}, "eos_token": "</s>", "pad_token": "[PAD]", "unk_token": "<unk>",
            "additional_special_tokens": ["<sep>"]},
        "added_tokens.json": {"[PAD]": 701, "[plain]": 700},
    },
    "bpe_no_prefix": {
        "train": {"model_type": "bpe"},
        "tokenizer_config.json": {"legacy": False, "add_prefix_space": False, "add_bos_token": False},
    },
    "unigram": {"train": {"model_type": "unigram"}, "tokenizer_config.json": {"legacy": False}},
    # No settings at all, replacements, spaces tidied up, no byte pieces.
    "unigram_rules": {
        "train": {"model_type": "unigram", "byte_fallback": False, "remove_extra_whitespaces": True, "rules": RULES},
    },
}


def train(path, model_type, rules=None, byte_fallback=True, remove_extra_whitespaces=False, **options):
    model = io.BytesIO()
    # The model remembers the paths that it is given: only a bare file name is.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        if rules:
            pathlib.Path("rules.tsv").write_text(rules)
            options["normalization_rule_tsv"] = "rules.tsv"
        else:
            options["normalization_rule_name"] = "identity"
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([line for text in CORPUS for line in text.split("\n") if line]), model_writer=model,
            model_type=model_type, vocab_size=700, character_coverage=0.98, byte_fallback=byte_fallback,
            remove_extra_whitespaces=remove_extra_whitespaces, hard_vocab_limit=False, num_threads=1, split_digits=True,
            allow_whitespace_only_pieces=True, minloglevel=2, **options)
    path.write_bytes(model.getvalue())


def texts_of(tokenizer):
    texts = list(TEXTS) + SPACES
    chance = random.Random(5)
    added = [token.content for _, token in sorted(tokenizer.added_tokens_decoder.items())]
    for content in added:
        texts += [content, f"{content}a", f"a{content}", f"a {content} b", f"a{content}b {content}  {content}c", f" {content}",
                  f"{content} ", f"{content}{content}", f"\n{content}\n"]
    alphabet = ["a", "the", " ", "  ", "\n", "é", "你", "😀", "\u2581", "12", "ﬁ", "\u3000", "Ａ", "㌘", "\u0000", "!"] + added
    for _ in range(60):
        texts.append("".join(chance.choice(alphabet) for _ in range(chance.randrange(1, 14))))
    return list(dict.fromkeys(texts))


def write_expected(folder):
    tokenizer = LlamaTokenizer.from_pretrained(folder)
    # In decoded text LlamaTokenizer leaves out those that are named as special, rung also those marked so.
    marked = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special}
    cases = []
    for text in texts_of(tokenizer):
        ids = tokenizer.encode(text)
        cases.append({
            "text": text, "ids": ids, "bare_ids": tokenizer.encode(text, add_special_tokens=False),
            "tokens": tokenizer.convert_ids_to_tokens(ids),
            "skipped": tokenizer.decode([id for id in ids if id not in marked], skip_special_tokens=True)})
    lines = ",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in cases)
    (folder / "expected.json").write_text(f"[{lines}]\n")
    print(folder.name, len(cases), "texts,", len(tokenizer), "tokens")


def main():
    for name, files in FAMILIES.items():
        folder = GOLDEN / name
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "tokenizer.model").exists():
            train(folder / "tokenizer.model", **files["train"])
        for file, content in files.items():
            if file.endswith(".json"):
                (folder / file).write_text(json.dumps(content, indent=1) + "\n")
        write_expected(folder)


if __name__ == "__main__":
    main()
