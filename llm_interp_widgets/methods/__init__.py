"""Attribution methods: one file an algorithm, and one explicit table.

Adding a method is one file (a frozen dataclass whose fields are its parameters, with a
``CARD`` and ``run``) and one line in ``METHODS``. The set of methods never depends on what
was imported elsewhere. The contract suite tests every entry alike.

``llm_interp_widgets.methods`` is this package *and* a public function: importing a
sub-package binds its name in the parent, so the two cannot be told apart. Hence the package
can be called, and ``methods()`` is the table for readers.
"""

from __future__ import annotations

import sys
from dataclasses import fields
from types import ModuleType
from typing import TYPE_CHECKING, Any

from llm_interp_widgets.errors import ParameterError, UnknownMethodError, nearest
from llm_interp_widgets.methods.attention_rollout import AttentionRollout
from llm_interp_widgets.methods.base import MethodTable
from llm_interp_widgets.methods.gradient_rollout import GradientRollout
from llm_interp_widgets.methods.input_x_gradient import InputXGradient
from llm_interp_widgets.methods.integrated_gradients import IntegratedGradients
from llm_interp_widgets.methods.kernel_shap import KernelShap
from llm_interp_widgets.methods.lime import Lime
from llm_interp_widgets.methods.occlusion import Occlusion
from llm_interp_widgets.methods.owen import Owen
from llm_interp_widgets.methods.random_control import RandomControl
from llm_interp_widgets.methods.saliency import Saliency
from llm_interp_widgets.methods.shapley import Shapley
from llm_interp_widgets.methods.smooth_grad import SmoothGrad

if TYPE_CHECKING:
    from llm_interp_widgets.methods.base import Method

METHODS: dict[str, type[Method]] = {
    "shapley": Shapley,
    "kernel_shap": KernelShap,
    "owen": Owen,
    "occlusion": Occlusion,
    "lime": Lime,
    "input_x_gradient": InputXGradient,
    "saliency": Saliency,
    "integrated_gradients": IntegratedGradients,
    "smooth_grad": SmoothGrad,
    "gradient_rollout": GradientRollout,
    "attention_rollout": AttentionRollout,
    "random": RandomControl,
}


_COMMON = ("method", "target", "granularity", "seed")  # of every call, not of one method


def make(name: str, params: dict[str, Any]) -> Method:
    """Return the method of this name with these parameters.

    Raises:
        UnknownMethodError: No such method; the nearest name is suggested.
        ParameterError: No such parameter; the known ones are listed.
    """
    kind = METHODS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise UnknownMethodError(f"No method {name!r}. {nearest(str(name), METHODS)}")
    known = {field.name: field.default for field in fields(kind)}
    for given in params:
        if given not in known:
            listed = ", ".join(f"{key}={value!r}" for key, value in known.items())
            raise ParameterError(
                f"{name} has no parameter {given!r}. {nearest(given, [*known, *_COMMON])} "
                f"Its own, with defaults: {listed or 'none'}."
            )
    return kind(**params)


class _CallablePackage(ModuleType):
    def __call__(self) -> MethodTable:
        """Return the table of methods: what each means, needs, costs and promises.

        Example:
            >>> from llm_interp_widgets import methods
            >>> list(methods())[0]
            'shapley'
        """
        return MethodTable({name: kind.CARD for name, kind in METHODS.items()})


sys.modules[__name__].__class__ = _CallablePackage
