"""Every kind of tokenizer, every string: exact spans, exact ids, nothing touched."""

from __future__ import annotations

import json
import logging
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    processors,
    trainers,
)
from tokenizers import pre_tokenizers as pre
from transformers import (
    AutoTokenizer,
    ByT5Tokenizer,
    CanineTokenizer,
    PreTrainedTokenizer,
    PreTrainedTokenizerFast,
)

from llm_interp_widgets.errors import EmptyPromptError, ParameterError, PromptError, TargetError
from llm_interp_widgets.models.tokenize import (
    describe_ids,
    encode,
    encode_continuation,
    encode_piece,
    token_name,
)
from llm_interp_widgets.text.features import GRANULARITIES, pieces, require_features

CORPUS = [
    "The capital of France is Paris. Don't the capitals cost much?\n\nYes.\n\nNo: they do.",
    "user assistant system hello world, unbelievable tokenizers of the world 3.14",
    "Café crème, naïve coöperation; 今天天气很好。 これはペンです。 안녕하세요",
] * 3

CHATML = """{% if messages[0].role != 'system' %}<|im_start|>system
You are user.<|im_end|>
{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
LLAMA2 = """{% if messages[0].role == 'system' %}{% set system = '<<SYS>>\\n' + messages[0].content\
 + '\\n<</SYS>>\\n\\n' %}{% set messages = messages[1:] %}{% else %}{% set system = '' %}\
{% endif %}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('Roles must alternate') }}{% endif %}{% if m.role == 'user' %}\
{{ bos_token + '[INST] ' + ((system if loop.first else '') + m.content) | trim + ' [/INST]' }}\
{% else %}{{ ' ' + m.content | trim + ' ' + eos_token }}{% endif %}{% endfor %}"""
GEMMA = """{{ bos_token }}{% if messages[0].role == 'system' %}\
{{ raise_exception('System role not supported') }}{% endif %}{% for m in messages %}\
<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}
{{ m.content | trim }}<end_of_turn>
{% endfor %}{% if add_generation_prompt %}<start_of_turn>model
{% endif %}"""


def trained(backend: Tokenizer, trainer) -> Tokenizer:
    backend.train_from_iterator(CORPUS, trainer)
    return backend


def template(backend: Tokenizer, single: str) -> None:
    names = [part for part in single.split() if part != "$A"]
    backend.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(name, backend.token_to_id(name)) for name in names]
    )


def byte_level(**prefix) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre.ByteLevel(**prefix)
    backend.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    trained(
        backend,
        trainers.BpeTrainer(
            vocab_size=420,
            special_tokens=special,
            initial_alphabet=pre.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="</s>"
    )


def gpt2():
    return byte_level(add_prefix_space=False)


def roberta():
    """Prefix space, trimmed offsets, added tokens, a mask that eats the space before it."""
    tokenizer = byte_level(add_prefix_space=True)
    backend = tokenizer.backend_tokenizer
    backend.post_processor = processors.RobertaProcessing(
        ("</s>", backend.token_to_id("</s>")), ("<s>", backend.token_to_id("<s>"))
    )
    tokenizer.add_special_tokens({"mask_token": AddedToken("<mask>", lstrip=True, special=True)})
    return tokenizer


def llama3():
    r"""Tokens such as ``".\\n\\n"`` whose offsets the post-processor trims; a BOS."""
    tokenizer = byte_level(add_prefix_space=False)
    backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = pre.Sequence(
        [
            pre.Split(Regex(r"\s?\p{L}+|\p{N}{1,3}|\s?[^\s\p{L}\p{N}]+[\r\n]*|\s+"), "isolated"),
            pre.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trained(
        backend,
        trainers.BpeTrainer(
            vocab_size=420,
            special_tokens=["<s>", "</s>"],
            initial_alphabet=pre.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    backend.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)]),
        ]
    )
    return tokenizer


def word_piece(*, lowercase: bool) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    backend.pre_tokenizer = pre.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trained(
        backend,
        trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False),
    )
    template(backend, "[CLS] $A [SEP]")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def cased():
    return word_piece(lowercase=False)


def uncased():
    return word_piece(lowercase=True)


def t5():
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    backend.pre_tokenizer = pre.Sequence([pre.WhitespaceSplit(), pre.Metaspace()])
    backend.decoder = decoders.Metaspace()
    trained(
        backend,
        trainers.UnigramTrainer(
            vocab_size=300,
            special_tokens=["<pad>", "</s>", "<unk>"],
            unk_token="<unk>",
            show_progress=False,
        ),
    )
    template(backend, "$A </s>")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def llama2():
    """BPE with byte fall-back; the space in front is put there by the normalizer."""
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    donor = Tokenizer(models.BPE())
    donor.pre_tokenizer = pre.Metaspace()
    donor.train_from_iterator(CORPUS, trainer)
    merges = [tuple(m) for m in json.loads(donor.to_str())["model"]["merges"]]
    vocab = donor.get_vocab()
    for byte in range(256):
        vocab[f"<0x{byte:02X}>"] = len(vocab)
    backend = Tokenizer(
        models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    backend.add_special_tokens(special)
    template(backend, "<s> $A")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def mistral():
    """The newer form of the same: Metaspace in front of the first piece only."""
    tokenizer = llama2()
    backend = tokenizer.backend_tokenizer
    backend.normalizer = normalizers.Sequence([])
    backend.pre_tokenizer = pre.Metaspace(prepend_scheme="first", split=False)
    return tokenizer


class Slow(PreTrainedTokenizer):
    """Pure Python, without offsets: lower-cased words; what it does not know is [UNK]."""

    def __init__(self, **options):
        self.words = ["[UNK]", "[SEP]", "the", "capital", "of", "world", "hello", ".", "é"]
        super().__init__(unk_token="[UNK]", sep_token="[SEP]", **options)

    @property
    def vocab_size(self):
        return len(self.words)

    def get_vocab(self):
        return {word: i for i, word in enumerate(self.words)} | self.added_tokens_encoder

    def _tokenize(self, text, **_):
        return text.lower().split()

    def _convert_token_to_id(self, token):
        return self.words.index(token) if token in self.words else 0

    def _convert_id_to_token(self, index):
        return self.words[index]

    def convert_tokens_to_string(self, tokens):
        return " ".join(tokens)

    def build_inputs_with_special_tokens(self, token_ids_0, _pair=None):
        return [*token_ids_0, 1]


FAST = [gpt2, roberta, llama3, cased, uncased, t5, llama2, mistral]
KINDS = {make.__name__: cache(make) for make in [*FAST, ByT5Tokenizer, CanineTokenizer, Slow]}

PIECES = [
    *("the", " capital", "Paris", " ", "  ", "\n", "\r\n", "\t", "\x00", "\x07", "\xa0", "\u200b"),
    *("👩\u200d💻", "🇫🇷", "👍🏽", "1️⃣", "今天", "龘", "が", "か\u3099", "e\u0301", "é", "\u0301"),
    *("ﬁ", "½", "ﷺ", "İ", "ß", "नि", "ที่", "한", "עִבְרִית", "\ufffd", "\ufeff", "\U0010ffff"),
    *("▁", "Ġ", "Ċ", "##ing", "<0x0A>", "'s", ".\n\n", "..."),
    *("<s>", "</s>", "<unk>", "[CLS]", "[UNK]", "[MASK]", "<mask>", "<|im_end|>"),
]
STRINGS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=10).map("".join),
)


def check(tokenizer, text: str) -> None:
    """The contract of every prompt."""
    try:
        prompt = encode(tokenizer, text)
    except EmptyPromptError:
        kept = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert not kept
        return
    assert prompt.text == text
    assert list(prompt.ids) == tokenizer(text)["input_ids"]
    assert "".join(token.text for token in prompt.tokens if not token.added) == text
    cursor = 0
    for i, token in enumerate(prompt.tokens):
        assert (token.position, token.size) == (i, 1)
        assert token.start == cursor
        assert token.added or token.text == text[token.start : token.end]
        assert "\ud800" not in token.text
        cursor = token.end
    assert cursor == len(text)
    for granularity in GRANULARITIES:
        found = pieces(prompt, granularity)
        assert "".join(piece.text for piece in found if not piece.added) == text
        assert [piece.position for piece in found] == [
            sum(piece.size for piece in found[:k]) for k in range(len(found))
        ]
        assert sum(piece.size for piece in found) == len(prompt.ids)
        for piece in found:
            group = prompt.tokens[piece.position : piece.position + piece.size]
            assert {token.special for token in group} == {piece.special}


@pytest.mark.filterwarnings("ignore:This sequence already has")
@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=120)
@given(STRINGS)
def test_every_string_comes_back(kind, text):
    check(KINDS[kind](), text)


@pytest.mark.filterwarnings("ignore:This sequence already has")
@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(STRINGS)
def test_ids_are_taken_as_they_are(kind, text):
    tokenizer = KINDS[kind]()
    ids = tokenizer(text)["input_ids"]
    if not ids:
        return
    prompt = encode(tokenizer, ids)
    assert list(prompt.ids) == ids
    assert prompt.text == tokenizer.decode(
        ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    assert "".join(token.text for token in prompt.tokens) == prompt.text


@pytest.mark.parametrize("kind", ["gpt2", "llama2", "uncased", "ByT5Tokenizer"])
@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_ids_even_half_characters(kind, data):
    tokenizer = KINDS[kind]()
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), min_size=1, max_size=20))
    if kind == "ByT5Tokenizer":
        ids = [i for i in ids if i < 259] or [5]  # the others mean nothing
    if not tokenizer.decode(ids):
        return
    prompt = encode(tokenizer, ids)
    assert list(prompt.ids) == ids
    assert "".join(token.text for token in prompt.tokens if not token.added) == prompt.text
    assert sum(piece.size for piece in pieces(prompt)) == len(ids)


@pytest.fixture(scope="module")
def bert(minilm):
    return AutoTokenizer.from_pretrained(minilm)


@settings(deadline=None, max_examples=150)
@given(STRINGS)
def test_every_string_comes_back_from_minilm(bert, text):
    check(bert, text)


@settings(deadline=None, max_examples=150)
@given(STRINGS)
def test_every_string_comes_back_from_the_default_model(lm, text):
    check(lm.tokenizer, text)


def shown(prompt) -> list[str]:
    return [token.text for token in prompt.tokens]


def test_trimmed_offsets_are_made_good():
    prompt = encode(KINDS["llama3"](), "Yes.\n\nNo")
    assert ".\n\n" in shown(prompt)
    assert prompt.tokens[0].added


@pytest.mark.parametrize("kind", FAST)
def test_unknown_is_text_and_written_special_tokens_are_not(kind):
    tokenizer = KINDS[kind.__name__]()
    mark = tokenizer.sep_token or tokenizer.eos_token
    prompt = encode(tokenizer, f"the {mark} ☃ the")
    assert require_features(pieces(prompt, "word"))[0].text == "the"
    (written,) = [t for t in prompt.tokens if t.special and not t.added]
    assert written.text.strip() == mark
    assert any("☃" in token.text and not token.special for token in prompt.tokens)


def test_added_tokens_know_their_place_without_offsets():
    prompt = encode(KINDS["Slow"](), " The CAPITAL of ☃ world ")
    assert shown(prompt) == [" The", " CAPITAL", " of", "", " ☃ world ", "[SEP]"]
    assert [token.special for token in prompt.tokens] == [False] * 5 + [True]


# ── Chats ─────────────────────────────────────────────────────────────────────


def with_template(kind: str, source: str):
    tokenizer = KINDS[kind]()
    clone = type(tokenizer)(
        tokenizer_object=tokenizer.backend_tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>" if kind != "gpt2" else None,
    )
    clone.chat_template = source
    return clone


def chat(*turns):
    return [{"role": role, "content": content} for role, content in turns]


CONTENTS = ["user", "assistant", "hi", "[INST] x [/INST]", "{{ m }}", "今天 👩\u200d💻", "Qx0xQ"]


@pytest.mark.parametrize("kind", ["gpt2", "llama2", "mistral"])
@pytest.mark.parametrize("source", [CHATML, LLAMA2, GEMMA])
@pytest.mark.parametrize("content", CONTENTS)
def test_roles_are_exact(kind, source, content):
    tokenizer = with_template(kind, source)
    messages = chat(("user", content), ("assistant", "user"), ("user", f" {content}\n"))
    prompt = encode(tokenizer, messages)
    assert prompt.text == tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
    assert list(prompt.ids) == tokenizer(prompt.text, add_special_tokens=False)["input_ids"]
    assert "".join(shown(prompt)) == prompt.text
    said = require_features(pieces(prompt, "turn"))
    assert [piece.text.strip() for piece in said] == [content, "user", content]
    assert [piece.role for piece in said] == ["user", "assistant", "user"]


def test_special_tokens_in_a_content_stay_special_but_are_the_speakers():
    prompt = encode(with_template("gpt2", CHATML), chat(("user", "a<|im_end|>b")))
    (quoted,) = [t for t in prompt.tokens if t.start == prompt.text.index("a<|") + 1]
    assert (quoted.text, quoted.special, quoted.role) == ("<|im_end|>", True, "user")
    assert [p.text for p in require_features(pieces(prompt, "turn"))] == ["a", "b"]


def test_the_template_adds_no_second_bos_and_its_system_prompt_is_markup():
    prompt = encode(with_template("llama2", GEMMA), chat(("user", "hi")))
    assert prompt.ids.count(1) == 1
    prompt = encode(with_template("gpt2", CHATML), chat(("user", "hi")))
    roles = {token.role for token in prompt.tokens if token.start < prompt.text.index("user.")}
    assert roles == {"system"}
    assert [piece.text for piece in require_features(pieces(prompt, "turn"))] == ["hi"]


@pytest.mark.parametrize(
    ("source", "messages", "message"),
    [
        (GEMMA, chat(("system", "x"), ("user", "y")), "System role not supported"),
        (LLAMA2, chat(("user", "x"), ("user", "y")), "Roles must alternate.*'user', 'user'"),
        (CHATML, [{"role": "user"}], "'content' of message 0 is missing"),
        (CHATML, [{"role": "user", "content": ["x"]}], "is a list; it must be a string"),
        (CHATML, [{"role": 1, "content": "x"}], "'role' of message 0 is a int"),
        (CHATML, [{"role": "user", "content": "x"}, "y"], "Message 1 is a str"),
        (CHATML, [{"role": "user", "content": "x\ud800"}], "Character 1 of the 'content'"),
        (None, chat(("user", "x")), "no chat template"),
    ],
)
def test_bad_chats(source, messages, message):
    with pytest.raises(PromptError, match=message):
        encode(with_template("gpt2", source), messages)


@pytest.mark.parametrize("content", ["user", "assistant", "You are a helpful AI assistant"])
def test_the_default_model_chats(lm, content):
    prompt = encode(lm.tokenizer, chat(("user", content)))
    (said,) = require_features(pieces(prompt, "turn"))
    assert (said.text, said.role) == (content, "user")
    assert prompt.tokens[0].role == "system"
    assert prompt.tokens[-1].role == "assistant"


# ── Continuations and fillers ─────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["gpt2", "llama3", "llama2", "mistral", "ByT5Tokenizer"])
@pytest.mark.parametrize("text", [" Paris", "Paris", "s", " the capital", "\n", ".", "今", " ☃"])
def test_continuations_say_what_was_asked(kind, text):
    tokenizer = KINDS[kind]()
    prompt = encode(tokenizer, "The capital of France is")
    ids = encode_continuation(tokenizer, prompt, text)
    assert not set(ids) & {tokenizer.bos_token_id, tokenizer.eos_token_id}
    before = [token.id for token in prompt.tokens if not token.added]
    assert tokenizer.decode([*before, *ids], clean_up_tokenization_spaces=False) == (
        prompt.text + text
    )
    piece = encode_piece(tokenizer, text)
    assert tokenizer.decode([*before, *piece], clean_up_tokenization_spaces=False) == (
        prompt.text + text
    )


def test_a_continuation_that_would_merge_leaves_the_prompt_alone():
    tokenizer = KINDS["llama2"]()
    prompt = encode(tokenizer, "The capi")
    whole = encode(tokenizer, "The capital")
    assert whole.ids[: len(prompt.ids)] != prompt.ids
    ids = encode_continuation(tokenizer, prompt, "tal")
    assert tokenizer.decode([*prompt.ids[1:], *ids]) == "The capital"


def test_continuations_of_ids_and_chats():
    tokenizer = with_template("gpt2", CHATML)
    for given_prompt in ([5, 300, 301], chat(("user", "hi"))):
        prompt = encode(tokenizer, given_prompt)
        ids = encode_continuation(tokenizer, prompt, "Paris")
        assert tokenizer.decode(ids) == "Paris"


@pytest.mark.parametrize("kind", KINDS)
def test_fillers_are_as_wide_as_in_mid_text(kind):
    tokenizer = KINDS[kind]()
    inside = tokenizer("of the world", add_special_tokens=False)["input_ids"]
    filler = list(encode_piece(tokenizer, " the"))
    assert any(inside[i : i + len(filler)] == filler for i in range(len(inside)))


def test_an_anchor_that_the_tokenizer_drops_is_none(monkeypatch):
    monkeypatch.setattr("llm_interp_widgets.models.tokenize._ANCHORS", ("\n", "a"))
    tokenizer = KINDS["t5"]()
    assert not token_name(tokenizer, encode_piece(tokenizer, "the")[0]).startswith(" ")


def test_word_pieces_continue_words():
    tokenizer = KINDS["uncased"]()
    prompt = encode(tokenizer, "the capital")
    assert prompt.tokens[-1].added
    assert list(encode_continuation(tokenizer, prompt, " of")) == [
        tokenizer.convert_tokens_to_ids("of")
    ]


@pytest.mark.parametrize("text", ["", "\ud800", None])
def test_bad_continuations_and_fillers(text):
    tokenizer = KINDS["gpt2"]()
    with pytest.raises(TargetError, match="continuation"):
        encode_continuation(tokenizer, encode(tokenizer, "a"), text)
    with pytest.raises(ParameterError, match="filler"):
        encode_piece(tokenizer, text)


def test_what_the_tokenizer_drops_is_neither_continuation_nor_filler():
    tokenizer = KINDS["uncased"]()
    with pytest.raises(TargetError, match="keeps nothing"):
        encode_continuation(tokenizer, encode(tokenizer, "a"), " ")
    with pytest.raises(ParameterError, match="keeps nothing"):
        encode_piece(tokenizer, "\x00")


# ── Bad input, names, and what must not change ────────────────────────────────


@pytest.mark.parametrize(
    ("prompt", "error", "message"),
    [
        ("", EmptyPromptError, "is empty"),
        ([], EmptyPromptError, "is empty"),
        ("a\udc00", PromptError, r"Character 1 .*lone surrogate \(U\+DC00\)"),
        (b"bytes", PromptError, "cannot be a bytes.*Give a text"),
        (None, PromptError, "cannot be a NoneType"),
        ({"role": "user"}, PromptError, "cannot be a dict"),
        (3.5, PromptError, "cannot be a float"),
        (np.int64(3), PromptError, "cannot be a int"),
        ([1, "a"], PromptError, "Item 1 .*str"),
        ([1, 2.0], PromptError, "Item 1 .*float"),
        ([True], PromptError, "Item 0 .*True"),
        ([[1, 2]], PromptError, "Item 0 .*list"),
        ([1, 10**6], PromptError, "1000000 at position 1 is none of"),
        ([-1], PromptError, "-1 at position 0"),
        ([2**70], PromptError, "at position 0"),
    ],
)
@pytest.mark.parametrize("kind", ["gpt2", "ByT5Tokenizer"])
def test_bad_prompts(kind, prompt, error, message):
    with pytest.raises(error, match=message):
        encode(KINDS[kind](), prompt)


def test_blank_text_of_which_nothing_is_left():
    with pytest.raises(EmptyPromptError, match="keeps no character"):
        encode(KINDS["uncased"](), " \n\x00")


def test_ids_may_come_as_arrays():
    tokenizer = KINDS["gpt2"]()
    assert encode(tokenizer, np.array([5, 6])).ids == (5, 6)
    assert encode(tokenizer, (np.int32(5), 6)).ids == (5, 6)


def test_names():
    tokenizer = KINDS["gpt2"]()
    ids = tokenizer(" 龘")["input_ids"]
    assert {token_name(tokenizer, i)[:3] for i in ids[-3:]} == {"«0x"}
    assert token_name(KINDS["llama2"](), KINDS["llama2"]().convert_tokens_to_ids("▁the")) == " the"
    described = describe_ids(tokenizer, tokenizer("is the")["input_ids"])
    assert described.startswith("'is' (")
    assert " + ' the' (" in described
    assert describe_ids(tokenizer, [5] * 20).endswith("… 8 more")


@pytest.mark.parametrize("kind", FAST)
def test_the_tokenizer_is_left_as_it_was(kind, caplog):
    tokenizer = kind()
    tokenizer.chat_template = CHATML
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(4, stride=1)
    backend.enable_padding(length=9, direction="left", pad_id=0, pad_token="<x>")
    tokenizer.padding_side, tokenizer.truncation_side = "left", "left"
    tokenizer.model_max_length = 3
    before = backend.to_str(), dict(tokenizer.init_kwargs), tokenizer.padding_side
    with caplog.at_level(logging.WARNING):
        prompt = encode(tokenizer, "the capital of the world " * 3)
        encode(tokenizer, chat(("user", "hello " * 30)))
        encode(tokenizer, prompt.ids)
        encode_continuation(tokenizer, prompt, " the")
        encode_piece(tokenizer, " the")
        describe_ids(tokenizer, prompt.ids)
    assert len(prompt.ids) >= 15
    assert (backend.to_str(), dict(tokenizer.init_kwargs), tokenizer.padding_side) == before
    assert not caplog.records


@pytest.mark.parametrize("kind", KINDS)
def test_long_prompts_are_whole(kind):
    text = "the capital of 今天 👩‍💻 world. " * 400
    prompt = encode(KINDS[kind](), text)
    assert "".join(token.text for token in prompt.tokens if not token.added) == text
    assert len(prompt.ids) > 2400
