/** One line of fixed height: the running job, and after it the verdict. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { count, duration, rate, standing } from "../format";
import type { Hearing } from "../link";
import type { JobState, Verdict } from "../protocol.gen";
import { listed, say } from "../say";
import { finished } from "../store";
import * as W from "../words";

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
        aria-label={say(W.PROGRESS_OF_THE_EXPLANATION)}
        aria-valuemin={0}
        aria-valuemax={known ? total : 1}
        aria-valuenow={known ? Math.min(done, total) : undefined}
      >
        <div class="liw-bar" style={{ "--done": String(known ? Math.min(1, done / total) : 0) }} />
      </div>
      <div class="liw-progress-line">
        {progress.preview && <Preview />}
        <span class="liw-numbers">
          {status === "queued" ? say(W.WAITING_FOR_THE_MODEL) : pace(progress)}
        </span>
        {hearing === "busy" && (
          <span class="liw-muted" role="status">
            {say(cancelling ? W.KERNEL_BUSY_STOPPING : W.KERNEL_BUSY)}
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
          {cancelling ? say(W.STOPPING) : say(W.CANCEL)}
        </button>
      </div>
    </div>
  );
}

function Preview(): JSX.Element {
  return <span class="liw-badge">{say(W.PREVIEW)}</span>;
}

/** `1 200 of 5 000 · 142/s · 27 s left`; what is not known yet is left out. */
function pace({ done, total, seconds }: JobState): string {
  const parts = [total > 0 ? say(W.AT_OF_N, { at: count(done), n: count(total) }) : count(done)];
  const perSecond = seconds > 0 ? done / seconds : 0;
  if (perSecond > 0) parts.push(rate(perSecond));
  if (perSecond > 0 && total > done) {
    parts.push(say(W.TIME_LEFT, { time: duration((total - done) / perSecond) }));
  }
  return parts.join(" · ");
}

type Mark = Verdict | "failed" | "cancelled";

/** Every outcome has its own shape, so that none is told by colour alone. */
function shapeOf(mark: Mark): string {
  const ring = "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Z";
  return {
    exact: "M8 1.5 14.5 8 8 14.5 1.5 8Z M5.4 7h5.2M5.4 9.2h5.2",
    converged: `${ring} M5 8.2l2.2 2.2L11.2 6`,
    "still moving": "M1.5 8c2-3 4.3-3 6.5 0s4.5 3 6.5 0",
    "did not converge": "M8 1.8 15 14H1Z M8 6.2v3.6M8 11.6v.6",
    unknown: `${ring} M6.2 6.2c.2-2.4 3.8-2.3 3.6 0-.1 1.3-1.8 1.4-1.8 2.8M8 11.2v.5`,
    failed:
      "M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3l-3.8-3.8V5.3Z M5.7 5.7l4.6 4.6M10.3 5.7l-4.6 4.6",
    cancelled: `${ring} M5.5 5.5h5v5h-5Z`,
  }[mark];
}

function Outcome({ progress, gone }: { progress: JobState; gone: boolean }): JSX.Element {
  const mark = markOf(progress);
  return (
    <div class="liw-progress" data-outcome={mark.replaceAll(" ", "-")}>
      <svg class="liw-verdict-icon" viewBox="0 0 16 16" aria-hidden="true">
        <path d={shapeOf(mark)} />
      </svg>
      <span class="liw-verdict">{outcomeWords(progress)}</span>
      {progress.preview && <Preview />}
      {gone && !finished(progress) ? (
        <span class="liw-muted" role="status">
          {say(W.KERNEL_GONE)}
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
  if (status === "cancelled") {
    const settled = verdict === "exact" || verdict === "converged";
    const kept = settled ? standing(verdict) : say(W.UNFINISHED);
    return listed([standing(status), kept]);
  }
  if (status === "failed") return standing(status);
  if (!finished(progress)) return say(W.STOPPED_WHILE_STILL_MOVING);
  return verdict === "unknown" ? say(W.FINISHED_CONVERGENCE_UNKNOWN) : standing(verdict);
}

function effort({ seconds }: JobState): string {
  if (seconds <= 0) return "";
  return seconds < 1 ? say(W.IN_UNDER_A_SECOND) : say(W.IN_TIME, { time: duration(seconds) });
}
