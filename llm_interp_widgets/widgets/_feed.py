"""Feed: one job, told to one widget: its snapshot and the stream of what changes.

What comes in: what is explained, the job, and where chunks and snapshots go. What goes out:
messages as ``wire`` defines them. A widget has a feed for every job it shows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from llm_interp_widgets import wire
from llm_interp_widgets.errors import told
from llm_interp_widgets.results import describe
from llm_interp_widgets.widgets._stream import Stream, totals
from llm_interp_widgets.words import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from llm_interp_widgets.jobs import Job, Progress
    from llm_interp_widgets.results.attribution import Attribution
    from llm_interp_widgets.results.describe import About
    from llm_interp_widgets.results.redaction import Cover
    from llm_interp_widgets.text.tokens import Token
    from llm_interp_widgets.widgets._stream import Send


class Feed:
    """Follows one job: not submitted yet, running, or over.

    Args:
        about: What is explained.
        job: That explains it.
        send: Sends one chunk with its buffers.
        keep: Publishes a snapshot.
        owned: The job ends with the widget.
    """

    def __init__(
        self,
        about: About,
        job: Job[Attribution],
        send: Send,
        keep: Callable[[wire.Snapshot], None],
        *,
        owned: bool = True,
    ) -> None:
        self.about = about
        self.job = job
        self.owned = owned
        self._stream = Stream(
            job.id,
            lambda look: state(about, look),
            send,
            lambda look, seq: keep(snapshot(about, job.id, look, seq)),
            _special(about),
        )

    def first(self) -> wire.Snapshot:
        """Return the snapshot of this moment, before anything was sent."""
        return snapshot(self.about, self.job.id, self.job.progress, 0)

    def covered(self, cover: Cover) -> wire.Snapshot:
        """Return the snapshot of this moment with text covered, for an export."""
        look = self.job.progress
        about = cover.over(self.about)  # first: what the prompt says is covered in what follows
        merged = replace(look.merged, without=cover.plain(look.merged.without))
        found = snapshot(about, self.job.id, replace(look, merged=merged), 0)
        if (error := found["state"]["error"]) is not None:
            error["message"] = cover.text(error["message"])
        return found

    def start(self) -> None:
        """Follow the job from now on."""
        self.job.observe(self._stream.look)
        if self.job.progress.status != "queued":  # what came between is in no message
            self._stream.look(self.job.progress)

    def retell(self) -> None:
        """Say the same in the language that is now in force."""
        self._stream.retell(self.job.progress)

    def ready(self) -> None:
        """Answer a view that (re)appeared."""
        self._stream.ready()

    def acknowledge(self, seq: int) -> None:
        """Take note that everything up to ``seq`` was drawn."""
        self._stream.acknowledge(seq)

    def close(self) -> None:
        """Send nothing more, and stop the job if it is the widget's own."""
        if self.owned:
            self.job.cancel()
        self._stream.close()


def snapshot(about: About, job: str, look: Progress, seq: int) -> wire.Snapshot:
    """Return everything the browser needs to draw a look from nothing."""
    merged = look.merged
    subject: wire.Subject = {
        "prompt": about.prompt,
        "inputs": [_token(token) for token in about.inputs],
        "outputs": [_token(token) for token in about.outputs],
        "target": describe.target_words(about.target),
        "unit": about.unit if about.effect else "score",
        "method": about.method,
        "method_title": say(about.title),
        "caution": say(about.caution),
    }
    return {
        "protocol": wire.PROTOCOL,
        "job": job,
        "seq": seq,
        "subject": subject,
        "state": state(about, look),
        "scores": wire.pack_rows(merged.scores, _special(about)),
        "standard_error": wire.pack_rows(
            None if merged.last.exact else merged.standard_error, _special(about)
        ),
        "totals": wire.pack(totals(look)),
    }


def state(about: About, look: Progress) -> wire.JobState:
    """Return where a job stands."""
    last = look.merged.last
    error = look.error
    return {
        "status": look.status,
        "preview": last.preview,
        "verdict": describe.verdict(look.merged, look.status),
        "done": last.done,
        "total": last.total,
        "evaluations": last.evaluations,
        "seconds": look.seconds,
        "sentences": [
            describe.sentence(about, look.merged, row) for row in range(len(about.outputs))
        ],
        "facts": [
            {"label": label, "value": value, "level": level}
            for label, value, level in describe.facts(about, look.merged)
        ],
        "error": None if error is None else told(error),
    }


def _special(about: About) -> NDArray[np.bool_]:
    return np.array([token.special for token in about.inputs], dtype=bool)


def _token(token: Token) -> wire.TokenInfo:
    return {
        "text": token.text,
        "start": token.start,
        "end": token.end,
        "special": token.special,
        "role": token.role,
        "position": token.position,
        "size": token.size,
    }
