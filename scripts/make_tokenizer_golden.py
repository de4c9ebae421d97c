#!/usr/bin/env python3
"""Writes tests/golden/tokenizer: small tokenizer.json files and what the `tokenizers` library makes of texts.

Each folder holds a tokenizer.json of one family, trained on the corpus below, and expected.json: for every text
the ids, the byte offsets and the decoded text. With --model DIR also expected.json for the tokenizer of that
model folder, whose own files stay where they are.

Needs: pip install tokenizers. Run it again only to add cases; the files are read by tests/text/tokenizer_test.cpp.
"""

import argparse
import json
import pathlib
import random

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import AddedToken

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "tokenizer"

CORPUS = [
    "The quick brown fox jumps over the lazy dog. The dog sleeps; the fox doesn't care, and I'm sure they'll meet again.",
    "In the beginning was the word, and there were 12345 words in 678 lines of 90 pages: that's what we've counted.",
    "def greet(name):\n    if name is None:\n        return 'hello'\n    return f\"hello {name}!\"\n\n\nfor i in range(10):\n\tprint(i)\n",
    "int main(int argc, char** argv) { std::vector<int> v{1, 2, 3}; for (auto x : v) { printf(\"%d\\n\", x); } return 0; }",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. Où est le café ? L'été à la plage, ça va très bien.",
    "Съешь ещё этих мягких французских булок, да выпей же чаю. Привет, мир! Как дела сегодня?",
    "敏捷的棕色狐狸跳过了懒狗。我今天能为你做什么？天气很好。",
    "いろはにほへと ちりぬるを。今日はとても良い天気ですね。カタカナも使います。",
    "다람쥐 헌 쳇바퀴에 타고파. 안녕하세요, 오늘 날씨가 좋네요.",
    "هذا نص باللغة العربية للتجربة. مرحبا بالعالم! كيف حالك اليوم؟",
    "यह हिन्दी में एक वाक्य है। नमस्ते दुनिया, आप कैसे हैं?",
    "นี่คือประโยคภาษาไทย สวัสดีชาวโลก วันนี้อากาศดีมาก",
    "Emoji: 😀 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 ❤️ 🇩🇪 and math: ∑ x² ≤ ∞, π ≈ 3.14159, ½ + ¼.",
]

TEXTS = [
    "",
    " ",
    "  ",
    "a",
    " a",
    "a ",
    "Hello world",
    "Hello  world   and    more     spaces",
    " leading and trailing ",
    "\n",
    "\n\n\n\n",
    "line one\nline two\r\nline three\n\n  indented\n\t\ttabs\n",
    " " * 50,
    "a" + " " * 33 + "b",
    "\n" * 40 + " " * 7 + "x",
    "\t \t\n \n\t x",
    "I'm you're he's WE'LL they'd don'T 'S s' ''",
    "2024-01-31 12:34:56.789 1234567890 3.14e-10 ½ ² ٣ ४ Ⅷ 〇 ①",
    "snake_case camelCase PascalCase SCREAMING_CASE kebab-case",
    "def f(x):\n    return {'a': [1, 2, 3], \"b\": x**2}  # comment\n",
    "if (a<b && c>d) { x += \"str\\n\"; /* c */ } else { y = ~x ^ 0xFF; } // end",
    "<html><body class=\"x\">&amp; &lt;tag/&gt;</body></html>",
    "https://example.com/path?query=1&b=2#frag user@mail.org",
    "$1,000.00 100% #hash @at ~tilde `tick` ^caret | pipe \\ back",
    "Zwölf Boxkämpfer über großen Straße ÄÖÜ",
    "café naïve façade Ångström İstanbul ıI ſ ß ẞ",
    "cafe\u0301 nai\u0308ve A\u030angstro\u0308m",  # decomposed
    "a\u0323\u0302b a\u0302\u0323b q\u0307\u0323 \u0344 \u1e9b\u0323",  # order of marks
    "\u212b \u2126 \ufb01 \u2460 \uff21\uff22\uff23 \u3392 \u00bd",  # singletons and compatibility forms
    "\u0958 \u0929 \u09c7\u09be \u1100\u1161\u11a8 \ud55c\uae00 \u1112\u1161\u11ab",  # exclusions, Hangul
    "Привет, мир! Съешь ещё булок",
    "我今天能为你做什么？天气很好。中文English混合123数字",
    "今日は、カタカナとひらがな。ｶﾞ半角",
    "안녕하세요 세계",
    "مرحبا بالعالم، كيف حالك؟ ١٢٣ \u064b\u0651",
    "नमस्ते दुनिया क्षत्रिय १२३",
    "สวัสดีชาวโลก ๑๒๓ ภาษาไทย",
    "ⲁⲃⲅ ᚠᚢᚦ 𐍈 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𠜎 ꙮ",
    "😀 😀😀 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 ❤️ 🇩🇪🇫🇷 1️⃣",
    "x\u200by\u200cz\u200dw\u2060v\ufeffu\u00adt",
    "nbsp\u00a0em\u2003ideo\u3000ls\u2028ps\u2029nel\u0085end",
    "\u0000",
    "a\u0000b\u0000\u0000c",
    "\u0001\u0002\u001b[31mred\u001b[0m\u007f\u0080\u009f",
    "\ufffd \ufffe \uffff \U0010ffff \ue000 \U000f0000",
    "▁ already ▁▁marked Ġ Ċ ĠĠ <0x0A> <0x41>",
    "\u202eright-to-left\u202c \u2066isolate\u2069",
    "the" * 30,
    "supercalifragilisticexpialidocious " * 3,
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "....!!!!????----====****____~~~~",
    "\"quoted\" 'single' “curly” «guillemets» …",
]

GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_bytes(pre_tokenizer, normalizer=None, vocab_size=700, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    suffix, unknown = options.get("end_of_word_suffix"), options.get("unk_token")
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[unknown] if unknown else [], **({"end_of_word_suffix": suffix} if suffix else {}),
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train_characters(normalizer, pre_tokenizer, vocab_size=900, bytes_too=True, **options):
    """A SentencePiece-like vocabulary: <unk>, <s>, </s>, characters, merges, and the 256 byte tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", **options))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    prefix = options.get("continuing_subword_prefix")
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, show_progress=False, limit_alphabet=220, special_tokens=["<unk>", "<s>", "</s>"],
        **({"continuing_subword_prefix": prefix} if prefix else {}),
    )
    # Without a pre-tokenizer a whole line would become one token: words are trained apart.
    lines = CORPUS if pre_tokenizer else [piece for line in CORPUS for piece in line.split(" ")]
    tokenizer.train_from_iterator(lines, trainer)
    if bytes_too:
        content = json.loads(tokenizer.to_str())
        vocab = content["model"]["vocab"]
        for byte in range(256):
            vocab.setdefault(f"<0x{byte:02X}>", len(vocab))
        content["model"]["byte_fallback"] = True
        tokenizer = Tokenizer.from_str(json.dumps(content))
    return tokenizer


def bos_template(tokenizer, bos, eos=None):
    names = [name for name in (bos, eos) if name]
    return processors.TemplateProcessing(
        single=" ".join(name for name in (bos, "$A", eos) if name),
        pair=f"{bos} $A {bos} $B:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in names],
    )


def make_llama3():
    tokenizer = train_bytes(
        pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(LLAMA3), "isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]), ignore_merges=True)
    tokenizer.add_special_tokens([
        "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
    ])
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True, add_prefix_space=True),
        bos_template(tokenizer, "<|begin_of_text|>"),
    ])
    # A word of the vocabulary that no merges lead to: only ignore_merges finds it.
    content = json.loads(tokenizer.to_str())
    content["model"]["vocab"]["\u0120unreachable"] = 2000
    return Tokenizer.from_str(json.dumps(content)), {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}


def make_qwen():
    tokenizer = train_bytes(
        pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(QWEN), "isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
        ]), normalizers.NFC())
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([
        AddedToken("<tool_call>", normalized=False), AddedToken("</tool_call>", normalized=False),
        AddedToken("<think>", normalized=False), AddedToken("na\u00efve", normalized=True),
    ])
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False)
    return tokenizer, {"eos_token": {"content": "<|im_end|>"}, "pad_token": "<|endoftext|>"}


def make_smollm():
    tokenizer = train_bytes(pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ]))
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<file_sep>"])
    return tokenizer, {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>"}


def make_roberta():
    tokenizer = train_bytes(pre_tokenizers.ByteLevel(add_prefix_space=True))
    tokenizer.add_special_tokens(["<s>", "</s>", AddedToken("<mask>", lstrip=True)])
    tokenizer.add_tokens([AddedToken("dog", single_word=True), AddedToken("<r>", rstrip=True)])
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", tokenizer.token_to_id("</s>")), ("<s>", tokenizer.token_to_id("<s>")),
        trim_offsets=True, add_prefix_space=True)
    return tokenizer, {}


def make_deepseek():
    tokenizer = train_bytes(pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"),
        pre_tokenizers.Split(Regex("[一-龥\u3040-ゟ゠-ヿ]+"), "isolated"),
        pre_tokenizers.Split(Regex(DEEPSEEK), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]), normalizers.Sequence([]), vocab_size=500)
    tokenizer.add_special_tokens(["<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cUser\uff5c>"])
    return tokenizer, {}


def spm_decoder(strip=True):
    steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence(steps + ([decoders.Strip(" ", 1, 0)] if strip else []))


def make_spm():
    tokenizer = train_characters(
        normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]), None, fuse_unk=True)
    tokenizer.add_special_tokens(["<s>", "</s>", "<unk>"])
    tokenizer.add_tokens([AddedToken("[INST]", normalized=False, lstrip=True, rstrip=True), AddedToken("over", normalized=True)])
    tokenizer.post_processor = bos_template(tokenizer, "<s>", "</s>")
    tokenizer.decoder = spm_decoder()
    return tokenizer, {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "unk_token": "<unk>"}


def make_metaspace():
    tokenizer = train_characters(
        None, pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="first", split=False), fuse_unk=True)
    tokenizer.add_special_tokens(["<s>", "</s>", "<unk>"])
    tokenizer.decoder = decoders.Sequence([
        decoders.ByteFallback(), decoders.Metaspace(replacement="\u2581", prepend_scheme="first")])
    return tokenizer, {}


def make_metaspace_split():
    tokenizer = train_characters(
        None, pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always", split=True), bytes_too=False,
        fuse_unk=False, vocab_size=500)
    tokenizer.add_special_tokens(["<s>", "</s>", "<unk>"])
    tokenizer.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="always")
    return tokenizer, {}


def make_gemma():
    tokenizer = train_characters(
        normalizers.Replace(" ", "\u2581"), pre_tokenizers.Split(" ", "merged_with_previous"), fuse_unk=True, vocab_size=500)
    tokenizer.add_special_tokens(["<bos>", "<eos>", "<start_of_turn>"])
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("\n\n\n", normalized=False)])
    tokenizer.post_processor = bos_template(tokenizer, "<bos>")
    tokenizer.decoder = spm_decoder(strip=False)
    return tokenizer, {}


def make_wordish():
    """Parts that no one model has together."""
    tokenizer = train_characters(
        normalizers.Sequence([normalizers.NFKD(), normalizers.Lowercase(), normalizers.Strip()]),
        pre_tokenizers.Sequence([
            pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.Digits(False)]),
        bytes_too=False, continuing_subword_prefix="##", fuse_unk=True, vocab_size=500)
    tokenizer.add_tokens([AddedToken("Lazy Dog", normalized=True), AddedToken("[X]", special=True, normalized=False)])
    tokenizer.post_processor = processors.BertProcessing(("</s>", 2), ("<s>", 1))
    return tokenizer, {}


def make_clip():
    tokenizer = train_bytes(
        pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(r"'s|'t|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]),
        normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]),
        end_of_word_suffix="</w>", unk_token="<|endoftext|>", vocab_size=600)
    tokenizer.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    return tokenizer, {}


def make_whitespace():
    tokenizer = train_characters(
        normalizers.NFD(), pre_tokenizers.Sequence([
            pre_tokenizers.Whitespace(), pre_tokenizers.Split("e", "merged_with_next"),
            pre_tokenizers.Split(Regex("[aeiou]"), "contiguous")]),
        bytes_too=False, vocab_size=500)
    return tokenizer, {}


FAMILIES = {
    "llama3": make_llama3, "qwen": make_qwen, "smollm": make_smollm, "roberta": make_roberta, "deepseek": make_deepseek,
    "spm": make_spm, "metaspace": make_metaspace, "metaspace_split": make_metaspace_split, "gemma": make_gemma,
    "wordish": make_wordish, "clip": make_clip, "whitespace": make_whitespace,
}


def texts_with_added_tokens(tokenizer):
    texts = []
    for token in tokenizer.get_added_tokens_decoder().values():
        content = token.content
        texts += [content, f"Hi {content} there", f"Hi{content}there", f"  {content}\n\t {content}{content} x", content[:-1] + " " + content[-1]]
    contents = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    return texts[:60] + ["".join(contents[:40]), " ".join(contents[:40]), "hotdog dog dogs dog. _dog dog_ \u00e9dog dog"]


def random_texts(count, seed):
    rng = random.Random(seed)
    alphabet = ("  \n\n\t\r'\".,-_0123456789aeiounthsrdlAEST" + "\u00e9\u00df\u0301\u0327\u2019\u00a0\u3000\u0416\u0438\u0439\u4e2d\u6587"
                "\u3042\u30ab\uac00\u1161\u0627\u0651\u0915\u094d\u0e01\u0e31\U0001f600\u200d\ufe0f\u00b2\u2163\u0660\u01c5\u02b0<|>")
    return ["".join(rng.choice(alphabet) for _ in range(rng.randint(1, 24))) for _ in range(count)]


def expect(tokenizer, text):
    encoding = tokenizer.encode(text, add_special_tokens=True)
    bare = tokenizer.encode(text, add_special_tokens=False)
    places = [0]
    for character in text:
        places.append(places[-1] + len(character.encode()))
    case = {
        "text": text,
        "ids": encoding.ids,
        "offsets": [places[place] for pair in encoding.offsets for place in pair],
        "kept": tokenizer.decode(encoding.ids, skip_special_tokens=False),
        "skipped": tokenizer.decode(encoding.ids, skip_special_tokens=True),
    }
    if bare.ids != encoding.ids:
        case["bare_ids"] = bare.ids
    return case


def write_expected(folder, tokenizer, num_random):
    texts = TEXTS + texts_with_added_tokens(tokenizer) + random_texts(num_random, seed=7)
    lines = ",\n".join(json.dumps(expect(tokenizer, text), separators=(",", ":")) for text in dict.fromkeys(texts))
    (folder / "expected.json").write_text(f"[\n{lines}\n]\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, help="model folder; its expectations go to smollm2/")
    arguments = parser.parse_args()
    for name, make in FAMILIES.items():
        folder = GOLDEN / name
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer, config = make()
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        if config:
            (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
        # From the file, as every other reader gets it.
        write_expected(folder, Tokenizer.from_file(str(folder / "tokenizer.json")), num_random=40)
    if arguments.model:
        folder = GOLDEN / "smollm2"
        folder.mkdir(parents=True, exist_ok=True)
        write_expected(folder, Tokenizer.from_file(str(arguments.model / "tokenizer.json")), num_random=150)


if __name__ == "__main__":
    main()
