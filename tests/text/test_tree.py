"""The tree of a text: neighbours only, nothing joined before it is complete, balanced."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import is_valid_linkage, to_tree

from llm_interp_widgets.text.boundaries import sentence_boundaries, word_boundaries
from llm_interp_widgets.text.tokens import Token, align
from llm_interp_widgets.text.tree import LEVELS, phrase_boundaries, text_tree


def by_tokens(*tokens, special=(), roles=None):
    offsets, at = [], 0
    for token in tokens:
        offsets.append((at, at + len(token)))
        at += len(token)
    n = len(tokens)
    marks = [i in special for i in range(n)]
    return align("".join(tokens), range(n), offsets, marks, names=tokens, roles=roles)


def tree_of(*tokens, **options):
    prompt = by_tokens(*tokens, **options)
    return text_tree(prompt.tokens, prompt.text)


def nested(tree, texts):
    """The tree as a text: a level around its two halves."""
    n = tree.features

    def write(node):
        if node < n:
            return texts[node]
        left, right = tree.children[node - n]
        return f"[{write(left)}|{write(right)}]"

    return write(2 * n - 2)


def written(*tokens, **options):
    special = options.get("special", ())
    texts = [token for i, token in enumerate(tokens) if i not in special]
    return nested(tree_of(*tokens, **options), texts)


def level_of_gaps(tree):
    """The level at which each feature is parted from the next one."""
    n = tree.features
    levels = [""] * (n - 1)
    for inner, (left, _) in enumerate(tree.children):
        levels[tree.spans[left, 1] - 1] = LEVELS[tree.levels[inner]]
    return levels


def check_shape(tree):
    """Everything that holds of every tree."""
    n = tree.features
    assert tree.children.shape == (n - 1, 2)
    assert tree.spans.shape == (2 * n - 1, 2)
    assert tree.levels.shape == (n - 1,)
    assert tree.spans[:n].tolist() == [[i, i + 1] for i in range(n)]
    assert tree.spans[-1].tolist() == [0, n]
    # every node but the root is the child of exactly one other, which has a larger number
    assert sorted(tree.children.ravel()) == list(range(2 * n - 2))
    for inner, (left, right) in enumerate(tree.children, start=n):
        assert max(left, right) < inner
        assert tree.spans[left, 1] == tree.spans[right, 0]  # neighbours, left one first
        assert tree.spans[inner].tolist() == [tree.spans[left, 0], tree.spans[right, 1]]
        assert tree.depths[left] == tree.depths[right] == tree.depths[inner] + 1
    assert tree.depths[-1] == 0
    assert tree.sizes.tolist() == (tree.spans[:, 1] - tree.spans[:, 0]).tolist()


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["one"], "one"),
        (["un", "able"], "[un|able]"),
        (["un", "able", " cat"], "[[un|able]| cat]"),
        (["a", " b", " c", " d"], "[[a| b]|[ c| d]]"),
        # a sentence is whole before it is joined, however long the other one is
        (["No", ".", " I", " did", " not", " go", "."], "[[No|.]|[[ I| did]|[ not|[ go|.]]]]"),
        # three sentences: the cut is the one nearest the middle
        (["a", ".", " b", ".", " c", ".", " d", "."], "[[[a|.]|[ b|.]]|[[ c|.]|[ d|.]]]"),
        # phrases before words; the comma ends the first
        (["hot", ",", " cold", " or", " dry"], "[[hot|,]|[ cold|[ or| dry]]]"),
        (["a", " (", "b", " c", ")", " d"], "[a|[[[ (|b]|[ c|)]]| d]]"),
        (["a", "  (", "b", ")", " c"], "[a|[[  (|[b|)]]| c]]"),
        # no phrase ends in a number or a clock
        (["it", " is", " 3", ",", "500"], "[[it| is]|[ 3|[,|500]]]"),
        # lines before sentences
        (["A", ".", " B", ".", "\n", "C", "."], "[[[A|.]|[ B|[.|\n]]]|[C|.]]"),
        # a line break at the head of a token, where a tokenizer drops it
        (["A", "\nB", " c", " d"], "[A|[\nB|[ c| d]]]"),
        (["A", ".", "\n\nB", " c", " d", " e"], "[[A|.]|[[\n\nB| c]|[ d| e]]]"),
        # and at the end of one
        (["A ", "is. ", "B ", "c ", "d ", "e"], "[[A |is. ]|[[B |c ]|[d |e]]]"),
    ],
)
def test_trees(tokens, expected):
    assert written(*tokens) == expected
    check_shape(tree_of(*tokens))


@pytest.mark.parametrize(
    ("tokens", "levels"),
    [
        (["un", "able", " cat"], ["token", "word"]),
        (["Hi", ",", " Bo", "."], ["word", "phrase", "word"]),
        (["Hi", ".", " Bo", "\n", "Al"], ["word", "sentence", "word", "line"]),
        (["A", ":", "\n", "- b"], ["word", "phrase", "line"]),
        (["He", " said", ",", ' "', "no", ',"', " and"], ["word"] * 2 + ["phrase"] + ["word"] * 2
         + ["phrase"]),
        (["See", " p", ".", " 4", "."], ["word"] * 4),
        (["Hello", "\nBig", " world"], ["line", "word"]),
        (["Hi", ".", " \n ", "Bo"], ["word", "word", "line"]),
        (["def", ":", "\n\n ", " x", "\n", " ", " y"], ["word", "phrase", "line", "word", "line",
         "token"]),
    ],
)  # fmt: skip
def test_levels(tokens, levels):
    assert level_of_gaps(tree_of(*tokens)) == levels


def test_chinese():
    tokens = list("今天很好，你呢。我也好")
    tree = tree_of(*tokens)
    levels = level_of_gaps(tree)
    assert levels == ["word"] * 4 + ["phrase"] + ["word"] * 2 + ["sentence"] + ["word"] * 2
    assert written(*tokens) == "[[[[今|天]|[很|[好|，]]]|[你|[呢|。]]]|[我|[也|好]]]"


def test_a_character_in_bytes_stays_one_leaf():
    from llm_interp_widgets.text.features import pieces

    text = "龘好。👩‍💻 ok"
    offsets = [(i, i + 1) for i, char in enumerate(text) for _ in char.encode()]
    n = len(offsets)
    prompt = align(text, range(n), offsets, [False] * n, names=[""] * n)
    found = pieces(prompt, "token")
    tree = text_tree(found, text)
    assert tree.features == len(found) == 7
    check_shape(tree)
    assert level_of_gaps(tree)[2] == "sentence"


def test_chat_turns_are_whole_before_they_are_joined():
    tokens = ["<u>", "Hi", ".", " You", "?", "<a>", "Yes", ",", " I", "<u>", "Ok", "<a>"]
    roles = [*["user"] * 5, *["assistant"] * 4, *["user"] * 2, "assistant"]
    special = {0, 5, 9, 11}
    tree = tree_of(*tokens, special=special, roles=roles)
    assert tree.features == 8  # markup is no leaf
    turns = [(0, 4), (4, 7), (7, 8)]
    assert {tuple(span) for span in tree.spans.tolist()} >= set(turns)
    assert level_of_gaps(tree) == [
        "word", "sentence", "word", "turn", "word", "phrase", "turn",
    ]  # fmt: skip
    check_shape(tree)


def test_what_ends_inside_markup_ends_between_its_neighbours():
    assert level_of_gaps(tree_of("Hi", "<s>\n", " Bo", special={1}, roles=["u"] * 3)) == ["line"]
    assert level_of_gaps(tree_of("Hi", "<s>", "Bo", special={1})) == ["word"]


def test_the_two_texts_of_a_pair_are_turns():
    tokens, roles = ["A", " b", ".", "C", " d"], ["first"] * 3 + ["second"] * 2
    assert level_of_gaps(tree_of(*tokens, roles=roles)) == ["word", "word", "turn", "word"]


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("Hot, cold (or 3,5) and so on", ["Hot,", " cold", " (or 3,5)", " and so on"]),
        ("10:30; no – yes", ["10:30;", " no –", " yes"]),
        ("well-known, don't", ["well-known,", " don't"]),
        ("a  (b)", ["a", "  (b)"]),
        ("今天，（好）吧", ["今天，", "（好）", "吧"]),
        ("wait… so", ["wait…", " so"]),
        ("none", ["none"]),
        ("", []),
    ],
)
def test_phrases(text, phrases):
    assert [text[i:j] for i, j in pairwise(sorted(phrase_boundaries(text)))] == phrases


@pytest.mark.parametrize("n", [2, 3, 7, 64, 100, 1000])
def test_without_units_the_tree_is_balanced(n):
    tree = tree_of("a", *[" b"] * (n - 1))
    assert tree.depths.max() == int(np.ceil(np.log2(n)))
    check_shape(tree)


def test_a_long_text_is_not_deep():
    line = ["So", " it", " goes", ",", " and", " goes", ".", " Well", "!", "\n"]
    tree = tree_of(*line * 400)
    assert tree.features == 4000
    assert tree.depths.max() <= np.log2(4000) + len(LEVELS)


def test_one_feature_has_no_inner_node():
    tree = tree_of("<s>", "Hi", "</s>", special={0, 2})
    assert tree.features == 1
    check_shape(tree)
    assert tree.linkage().shape == (0, 4)


@pytest.mark.parametrize("n", [2, 3, 10, 57])
def test_scipy_takes_the_linkage(n):
    tree = tree_of(*(["Hi", ",", " you", ".", " Go"] * n)[:n])
    linkage = tree.linkage()
    assert is_valid_linkage(linkage)
    assert linkage[:, 3].tolist() == tree.sizes[n:].tolist()
    assert linkage[-1, 2] == 1  # as shap's text masker scales it
    nodes = to_tree(linkage, rd=True)[1]
    for inner in range(n, 2 * n - 1):
        low, high = tree.spans[inner]
        assert nodes[inner].pre_order() == list(range(low, high))


def line_boundaries(text):
    return {i + 1 for i, char in enumerate(text) if char == "\n"}


UNITS = (word_boundaries, phrase_boundaries, sentence_boundaries, line_boundaries)


def units(text, level):
    """Which unit of this level each character belongs to; units of higher levels end it too."""
    ends = sorted(set().union(*(boundaries(text) for boundaries in UNITS[level:])))
    return [bisect_right(ends, i) for i in range(len(text))]


@st.composite
def tokenised(draw):
    """A text, tokens that split no unit, and each token's first visible character."""
    text = draw(st.text("ab ,.\n!()今。，", min_size=1, max_size=60).filter(str.strip))
    visible = [i for i, char in enumerate(text) if not char.isspace()]
    word = units(text, 0)
    splits = draw(st.lists(st.booleans(), min_size=len(visible), max_size=len(visible)))
    heads = [
        i
        for i, last, split in zip(visible, [None, *visible], splits, strict=False)
        if split or last is None or word[i] != word[last]
    ]
    if draw(st.booleans()):  # spaces at the head of tokens, or at their end
        starts = [0, *(max(j for j in visible if j < i) + 1 for i in heads[1:])]
    else:
        starts = [0, *heads[1:]]
    return text, [text[i:j] for i, j in pairwise([*starts, len(text)])], heads


@given(tokenised())
def test_no_unit_is_joined_to_another_before_it_is_complete(case):
    text, tokens, heads = case
    prompt = by_tokens(*tokens)
    tree = text_tree(prompt.tokens, text)
    assert tree.features == len(tokens)
    check_shape(tree)
    spans = tree.spans.tolist()
    for level in range(len(UNITS)):
        owner = np.array(units(text, level))[heads]
        for unit in np.unique(owner):
            inside = np.flatnonzero(owner == unit)
            first, stop = inside[0], inside[-1] + 1
            assert [first, stop] in spans  # it has a node of its own
            for low, high in spans:  # and no node cuts across its borders
                assert high <= first or stop <= low or (low <= first and stop <= high) or (
                    first <= low and high <= stop
                )  # fmt: skip


@given(st.lists(st.integers(0, 3), max_size=40))
def test_every_split_is_at_the_strongest_gap_nearest_the_middle(gaps):
    marks = ["", " ", ", ", ". "]
    starts = ["go", "Go"]  # a sentence begins large
    tokens = ["Go"]
    for gap in gaps:
        tokens[-1] += marks[gap].strip()
        tokens.append((" " if gap else "") + starts[gap == 3])
    tree = tree_of(*tokens)
    n = len(tokens)
    for inner, (left, _) in enumerate(tree.children):
        low, high = tree.spans[n + inner]
        inside = gaps[low : high - 1]
        cut = tree.spans[left, 1]
        assert tree.levels[inner] == gaps[cut - 1] == max(inside)
        unevenness = [
            abs((i + 1) - (high - low - i - 1))
            for i, gap in enumerate(inside)
            if gap == max(inside)
        ]
        assert abs((cut - low) - (high - cut)) == min(unevenness)


def test_position_not_text_is_the_key():
    same = [Token("go", 3, 3 * i, 3 * i + 2, position=i) for i in range(4)]
    assert nested(text_tree(same, "go go go go"), ["a", "b", "c", "d"]) == "[[a|b]|[c|d]]"
