/** The running text: every token an inline mark, in the words and line breaks of the original. */

import { Component, type ComponentChildren, type JSX, type TargetedKeyboardEvent } from "preact";
import { useMemo } from "preact/hooks";
import { clamp } from "../clamp";
import { position } from "../colour";
import { visible } from "../format";
import { lines, splitLead, turns } from "../pieces";
import type { Subject, TokenInfo } from "../protocol.gen";
import { isAbsent, isPartial, type Readings, sentence } from "../readings";
import { language, say } from "../say";
import * as W from "../words";

/** A token that turns the direction of text around does so for itself only. */
const BIDI_CONTROLS = /[\u202a-\u202e\u2066-\u2069]/;

interface TokenProps {
  readonly index: number;
  readonly token: TokenInfo;
  /** Place on the colour scale, −1 … 1; NaN when there is no score. */
  readonly t: number;
  readonly unsure: boolean;
  readonly label: string;
  readonly selected: boolean;
  readonly looked: boolean;
  readonly tabbable: boolean;
}

/** One token. Redrawn only when something about itself changed. */
class TokenMark extends Component<TokenProps> {
  override shouldComponentUpdate(next: TokenProps): boolean {
    const keys = Object.keys(next) as (keyof TokenProps)[];
    return keys.some((key) => !Object.is(next[key], this.props[key]));
  }

  override render({ index, token, t, unsure, label, selected, looked, tabbable }: TokenProps) {
    const { lead, ink } = token.special ? { lead: "", ink: token.text } : splitLead(token.text);
    return (
      <span
        class="liw-token"
        role="option"
        data-index={index}
        data-kind={kind(token, t, unsure)}
        data-bidi={BIDI_CONTROLS.test(token.text) || undefined}
        aria-label={label}
        data-looked={looked || undefined}
        aria-selected={selected}
        tabIndex={tabbable ? 0 : -1}
      >
        {lead}
        <span class="liw-ink" style={{ "--t": (Math.abs(t) || 0).toFixed(3) }}>
          {token.special ? visible(ink) : withBreaks(ink)}
        </span>
      </span>
    );
  }
}

function kind(token: TokenInfo, t: number, unsure: boolean): string {
  if (Number.isNaN(t)) return token.special ? "special" : "absent";
  if (unsure) return "unsure";
  if (t === 0) return "zero";
  return t > 0 ? "raises" : "lowers";
}

/** Line breaks get a faint sign that is drawn by the style sheet and so is never copied. */
function withBreaks(text: string): ComponentChildren {
  if (!text.includes("\n")) return text;
  return lines(text).map((line) =>
    line.startsWith("\n") ? [<span class="liw-break" aria-hidden="true" />, line] : line,
  );
}

interface Props {
  readonly subject: Subject;
  readonly output: number;
  readonly readings: Readings;
  readonly limit: number;
  readonly selected: number | null;
  /** How many are selected from there on. */
  readonly span?: number;
  /** The token that another view points at. */
  readonly looked?: number | null;
  /** The token that the Tab key reaches. */
  readonly cursor: number;
  readonly onHover: (index: number | null) => void;
  readonly onFocus: (index: number | null) => void;
  readonly onPin: (index: number | null, extend: boolean) => void;
  /** What a screen reader is told: of the text, and of each token. */
  readonly name?: string;
  readonly labels?: readonly string[];
}

export function TokenText(props: Props): JSX.Element {
  const { subject, output, readings, limit, selected, cursor, span = 1 } = props;
  const groups = useMemo(() => turns(subject.inputs), [subject]);
  const labels = useMemo(
    () =>
      props.labels ??
      subject.inputs.map((token, i) => {
        const reading = readings.all[i];
        return reading === undefined ? "" : sentence(token, reading, subject, output);
      }),
    [subject, readings, output, props.labels, language()],
  );
  const chat = groups.some((turn) => turn.role !== null);
  const partial = isPartial(subject, readings);

  const mark = (token: TokenInfo, index: number): JSX.Element => {
    const reading = readings.all[index];
    const absent = reading === undefined || isAbsent(reading);
    return (
      <TokenMark
        key={index}
        index={index}
        token={token}
        t={absent ? Number.NaN : position(reading.score, limit)}
        unsure={reading?.unsure ?? false}
        label={labels[index] ?? ""}
        selected={selected !== null && index >= selected && index < selected + span}
        looked={index === props.looked}
        tabbable={index === cursor}
      />
    );
  };

  return (
    <div
      class={chat ? "liw-text liw-chat" : "liw-text"}
      role="listbox"
      data-partial={partial || undefined}
      aria-label={say(W.NAME_N_TOKENS, {
        name: props.name ?? say(W.PROMPT),
        n: subject.inputs.length,
      })}
      aria-multiselectable={props.span !== undefined}
      dir="auto"
      data-lm-suppress-shortcuts="true"
      onPointerOver={(event) => props.onHover(indexOf(event.target))}
      onPointerLeave={() => props.onHover(null)}
      onFocusIn={(event) => props.onFocus(indexOf(event.target))}
      onFocusOut={() => props.onFocus(null)}
      onClick={(event) => {
        const index = indexOf(event.target);
        if (index !== null && (isCaret() || event.shiftKey)) {
          props.onPin(index === selected ? null : index, event.shiftKey);
        }
      }}
      onKeyDown={(event) => onKey(event, props)}
    >
      {groups.map((turn) => {
        const marks = turn.tokens.map((token, i) => mark(token, turn.first + i));
        if (turn.role === null) return marks;
        return (
          // biome-ignore lint/a11y/useSemanticElements: a fieldset cannot stand in a listbox
          <div
            class="liw-turn"
            role="group"
            aria-label={say(W.ROLE_TURN, { role: turn.role })}
            key={turn.first}
          >
            <span class="liw-role" aria-hidden="true">
              {turn.role}
            </span>
            <div class="liw-said" role="presentation">
              {marks}
            </div>
          </div>
        );
      })}
    </div>
  );
}

/** The token an event happened on. */
function indexOf(target: EventTarget | null): number | null {
  const element = target instanceof Element ? target.closest<HTMLElement>("[data-index]") : null;
  return element === null ? null : Number(element.dataset["index"]);
}

/** A click that ends a drag is a text selection, not a pin. */
function isCaret(): boolean {
  return document.getSelection()?.isCollapsed ?? true;
}

function onKey(event: TargetedKeyboardEvent<HTMLElement>, props: Props): void {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const index = indexOf(event.target);
  if (index === null) return;
  const last = props.subject.inputs.length - 1;
  const rtl = getComputedStyle(event.currentTarget).direction === "rtl";
  const moves: Record<string, () => number> = {
    ArrowRight: () => index + (rtl ? -1 : 1),
    ArrowLeft: () => index + (rtl ? 1 : -1),
    ArrowDown: () => onNextLine(event.currentTarget, index, 1),
    ArrowUp: () => onNextLine(event.currentTarget, index, -1),
    Home: () => 0,
    End: () => last,
  };
  const move = moves[event.key];
  if (move !== undefined) {
    const next = clamp(move(), 0, last);
    tokenElement(event.currentTarget, next)?.focus();
  } else if (event.key === "Enter" || event.key === " ") {
    props.onPin(index === props.selected ? null : index, event.shiftKey);
  } else if (event.key === "Escape" && props.selected !== null) {
    props.onPin(null, false);
  } else {
    return;
  }
  event.preventDefault();
  event.stopPropagation();
}

export function tokenElement(root: Element, index: number): HTMLElement | null {
  return root.querySelector<HTMLElement>(`[data-index="${index}"]`);
}

/** The token nearest above or below; the next or previous one where there is no such line. */
function onNextLine(root: Element, index: number, step: 1 | -1): number {
  const from = tokenElement(root, index)?.getBoundingClientRect();
  if (from === undefined) return index;
  const middle = (from.left + from.right) / 2;
  let best = index;
  let line: number | null = null;
  let nearest = Number.POSITIVE_INFINITY;
  for (let i = index + step; ; i += step) {
    const rect = tokenElement(root, i)?.getBoundingClientRect();
    if (rect === undefined) break;
    if ((rect.top - from.top) * step < from.height / 2) continue;
    line ??= rect.top;
    if (Math.abs(rect.top - line) > from.height / 2) break;
    const distance = Math.abs((rect.left + rect.right) / 2 - middle);
    if (distance < nearest) {
      nearest = distance;
      best = i;
    }
  }
  return best === index ? index + step : best;
}
