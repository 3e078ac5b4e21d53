/** One line of fixed height: the running job, and after it the verdict. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { count, duration, rate } from "../format";
import type { Hearing } from "../link";
import type { JobState, Verdict } from "../protocol.gen";
import { finished } from "../store";

interface Props {
  readonly progress: JobState;
  /** Whether a kernel may be running the job: without one there is nothing to cancel. */
  readonly live: boolean;
  /** Whether that kernel hears a cancel. */
  readonly hearing: Hearing;
  readonly onCancel: () => void;
}

export function Progress({ progress, live, hearing, onCancel }: Props): JSX.Element {
  const [cancelling, setCancelling] = useState(false);
  const over = finished(progress) || !live;
  useEffect(() => {
    if (over) setCancelling(false);
  }, [over]);
  if (over) return <Outcome progress={progress} gone={hearing === "gone"} />;

  const { done, total, status } = progress;
  const known = total > 0;
  return (
    <div class="liw-progress">
      <div
        class={known ? "liw-track" : "liw-track liw-track-unknown"}
        role="progressbar"
        aria-label="Progress of the explanation"
        aria-valuemin={0}
        aria-valuemax={known ? total : 1}
        aria-valuenow={known ? Math.min(done, total) : undefined}
      >
        <div class="liw-bar" style={{ "--done": String(known ? Math.min(1, done / total) : 0) }} />
      </div>
      <div class="liw-progress-line">
        {progress.preview && <span class="liw-badge">{previewName(progress)}</span>}
        <span class="liw-numbers">
          {status === "queued" ? "waiting for the model" : pace(progress)}
        </span>
        {hearing === "busy" && (
          <span class="liw-muted" role="status">
            {cancelling
              ? "the kernel is busy with a cell: this stops when it ends, or interrupt it"
              : "the kernel is busy with a cell"}
          </span>
        )}
        <button
          type="button"
          class="liw-button"
          disabled={cancelling}
          onClick={() => {
            setCancelling(true);
            onCancel();
          }}
        >
          {cancelling ? "Stopping…" : "Cancel"}
        </button>
      </div>
    </div>
  );
}

/** What stands in for the method: a fact called `preview` names it. */
function previewName({ facts }: JobState): string {
  const fact = facts.find(({ label }) => label === "preview");
  return `preview (${fact?.value ?? "leave-one-out"})`;
}

/** `1 200 of 5 000 · 142/s · 27 s left`; what is not known yet is left out. */
function pace({ done, total, seconds }: JobState): string {
  const parts = [total > 0 ? `${count(done)} of ${count(total)}` : count(done)];
  const perSecond = seconds > 0 ? done / seconds : 0;
  if (perSecond > 0) parts.push(rate(perSecond));
  if (perSecond > 0 && total > done) parts.push(`${duration((total - done) / perSecond)} left`);
  return parts.join(" · ");
}

type Mark = Verdict | "failed" | "cancelled";

/** Every outcome has its own shape, so that none is told by colour alone. */
const SHAPES: Record<Mark, string> = {
  exact: "M8 1.5 14.5 8 8 14.5 1.5 8Z M5.4 7h5.2M5.4 9.2h5.2",
  converged: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Z M5 8.2l2.2 2.2L11.2 6",
  "still moving": "M1.5 6.2c2-3 4.3-3 6.5 0s4.5 3 6.5 0M1.5 10.7c2-3 4.3-3 6.5 0s4.5 3 6.5 0",
  "did not converge": "M8 1.8 15 14H1Z M8 6.2v3.6M8 11.6v.6",
  unknown:
    "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Z M6.2 6.2c.2-2.4 3.8-2.3 3.6 0-.1 1.3-1.8 1.4-1.8 2.8M8 11.2v.5",
  failed: "M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3l-3.8-3.8V5.3Z M5.7 5.7l4.6 4.6M10.3 5.7l-4.6 4.6",
  cancelled: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Z M5.5 5.5h5v5h-5Z",
};

function Outcome({ progress, gone }: { progress: JobState; gone: boolean }): JSX.Element {
  const mark = markOf(progress);
  return (
    <div class="liw-progress" data-outcome={mark.replaceAll(" ", "-")}>
      <svg class="liw-verdict-icon" viewBox="0 0 16 16" aria-hidden="true">
        <path d={SHAPES[mark]} />
      </svg>
      <span class="liw-verdict">{outcomeWords(progress)}</span>
      {progress.preview && <span class="liw-badge">{previewName(progress)}</span>}
      {gone && !finished(progress) ? (
        <span class="liw-muted" role="status">
          its kernel is gone; run the cell again to finish
        </span>
      ) : (
        <span class="liw-numbers">{effort(progress)}</span>
      )}
    </div>
  );
}

function markOf({ status, verdict }: JobState): Mark {
  return status === "failed" || status === "cancelled" ? status : verdict;
}

/** The outcome in a few words; also what a screen reader is told. */
export function outcomeWords(progress: JobState): string {
  const { status, verdict } = progress;
  if (status === "failed") return "failed";
  if (status === "cancelled") return `cancelled, ${verdict === "unknown" ? "unfinished" : verdict}`;
  if (!finished(progress)) return "stopped while still moving";
  return verdict === "unknown" ? "finished, convergence unknown" : verdict;
}

function effort({ seconds }: JobState): string {
  if (seconds <= 0) return "";
  return seconds < 1 ? "in under a second" : `in ${duration(seconds)}`;
}
