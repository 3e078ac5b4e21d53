/** All heads as pictures: a column a layer, or the highest by a score; and each layer's profile. */

import type { JSX, TargetedKeyboardEvent, TargetedMouseEvent } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Overview as Drawn, Picture, Stack } from "../../attention/board";
import { canvasOf, type Lut, painted, ramp, type Scale } from "../../attention/ramp";
import { type HeadAt, profile, ranked, SCORES, scoreOf } from "../../attention/ranking";
import { clamp } from "../../clamp";
import { css, PALETTES, type Theme } from "../../colour";
import { magnitude } from "../../format";
import { say } from "../../say";
import * as W from "../../words";
import { brush, useWidth } from "./hooks";

const LEFT = 26;
const UNDER = 18;
const PROFILE = 34;
const GAP = 2;
const PAD = 2;
const LARGEST = 56;
const RANKED = 60;
const CAPTION = 15;
const FONT = "11px system-ui, sans-serif";

interface Props {
  readonly drawn: Drawn | null;
  readonly stack: Stack;
  readonly theme: Theme;
  readonly scale: Scale;
  readonly sort: string;
  readonly least: number;
  readonly open: HeadAt | null;
  readonly pinned: readonly HeadAt[];
  /** Heads that cannot be opened, each as layer · heads + head. */
  readonly absent: ReadonlySet<number>;
  readonly onOpen: (at: HeadAt) => void;
  readonly onPin: (at: HeadAt) => void;
}

export function Overview(props: Props): JSX.Element {
  const { drawn, stack, theme, scale, sort, least, open, pinned, onOpen, onPin } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(canvas, 240);
  const [at, setAt] = useState<HeadAt | null>(null);
  const [all, setAll] = useState(false);
  const lut = useMemo(() => ramp(theme, scale, 0), [theme, scale]);
  const order = useMemo(() => ranked(drawn, stack, sort, least), [drawn, stack, sort, least]);
  const heads = sort === "" || all ? order : order.slice(0, RANKED);
  const means = useMemo(() => profile(drawn, stack, "first_token"), [drawn, stack]);
  const hint =
    sort !== ""
      ? say(W.OVERVIEW_RANKED, {
          score: say(SCORES[sort]?.[0] ?? ""),
          meaning: say(SCORES[sort]?.[1] ?? ""),
        })
      : means.some(Number.isFinite)
        ? say(W.OVERVIEW_WITH_PROFILE)
        : say(W.OVERVIEW_PLAIN);
  const grid = layOut(stack, width, sort !== "", heads.length);
  const placeOf = (n: number): [x: number, y: number] => {
    const { layer, head } = heads[n] as HeadAt;
    const [col, row] =
      sort === "" ? [layer, head] : [n % grid.columns, Math.floor(n / grid.columns)];
    return [LEFT * grid.margin + col * grid.stepX + PAD, row * grid.stepY + PAD];
  };

  useLayoutEffect(() => {
    const context = brush(canvas.current, width, grid.height);
    if (!context) return;
    const ink = css(PALETTES[theme].ink);
    context.font = FONT;
    context.imageSmoothingEnabled = grid.side < 48;
    context.imageSmoothingQuality = "high";
    heads.forEach((one, n) => {
      const [x, y] = placeOf(n);
      const picture = drawn?.pictures[one.layer] ?? null;
      context.globalAlpha = 0.07;
      context.fillStyle = ink;
      context.fillRect(x, y, grid.side, grid.side);
      const gone = props.absent.has(one.layer * stack.heads + one.head);
      context.globalAlpha = gone ? 0.2 : 1;
      const image = picture && imageOf(picture, lut);
      if (picture && image) {
        const top = one.head * picture.rows;
        const { side } = grid;
        context.drawImage(image, 0, top, picture.cols, picture.rows, x, y, side, side);
      }
      context.globalAlpha = 1;
      context.strokeStyle = ink;
      const isOpen = same(one, open);
      if (isOpen || same(one, at)) {
        context.lineWidth = isOpen ? 2 : 1;
        context.strokeRect(x - 0.5, y - 0.5, grid.side + 1, grid.side + 1);
      }
      if (pinned.some((other) => same(one, other))) {
        context.fillStyle = css(PALETTES[theme].raises);
        context.beginPath();
        context.arc(x + grid.side - 4, y + 4, 3, 0, 7);
        context.fill();
      }
      if (sort !== "") {
        context.fillStyle = ink;
        context.globalAlpha = 0.75;
        const score = scoreOf(drawn, stack, sort, one);
        const words = `L${one.layer} H${one.head}  ${Number.isNaN(score) ? "–" : magnitude(score)}`;
        context.fillText(words, x, y + grid.side + 11, grid.side);
      }
    });
    context.globalAlpha = 0.75;
    if (sort === "") drawAxes(context, grid, stack, means, ink);
    context.globalAlpha = 1;
  });

  const under = ({ offsetX, offsetY }: TargetedMouseEvent<HTMLCanvasElement>): HeadAt | null => {
    const found = heads.findIndex((_, n) => {
      const [x, y] = placeOf(n);
      return offsetX >= x && offsetX < x + grid.stepX && offsetY >= y && offsetY < y + grid.stepY;
    });
    return heads[found] ?? null;
  };
  const move = (by: number): void => {
    const from = Math.max(
      0,
      heads.findIndex((one) => same(one, at ?? open)),
    );
    const next = heads[clamp(from + by, 0, heads.length - 1)];
    if (next) setAt(next);
  };
  const key = (event: TargetedKeyboardEvent<HTMLCanvasElement>): void => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const [across, down] = sort === "" ? [stack.heads, 1] : [1, grid.columns];
    const steps: Record<string, number> = {
      ArrowRight: across,
      ArrowLeft: -across,
      ArrowDown: down,
      ArrowUp: -down,
      Home: -heads.length,
      End: heads.length,
    };
    const step = steps[event.key];
    const current = at ?? open;
    if (step !== undefined) move(step);
    else if (current && (event.key === "Enter" || event.key === " ")) onOpen(current);
    else if (current && event.key === "p") onPin(current);
    else if (event.key === "Escape") setAt(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const hidden = stack.layers * stack.heads - order.length;
  return (
    <div class="liw-heads-overview">
      <div>
        {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: it takes keys */}
        <canvas
          ref={canvas}
          tabIndex={0}
          role="application"
          aria-label={say(W.OVERVIEW_KEYS, {
            layers: stack.layers,
            heads: stack.heads,
          })}
          data-lm-suppress-shortcuts="true"
          data-drawn={drawn?.pictures.filter((one) => one !== null).length ?? 0}
          data-exact={drawn?.pictures.filter((one) => one?.stage === 2).length ?? 0}
          style={{ width: `${width}px`, height: `${grid.height}px` }}
          onPointerMove={(event) => setAt(under(event))}
          onPointerLeave={() => setAt(null)}
          onClick={(event) => {
            const one = under(event);
            if (one) onOpen(one);
          }}
          onKeyDown={key}
        />
      </div>
      <p class="liw-pinned" aria-live="polite">
        {at ? (
          <Said
            drawn={drawn}
            stack={stack}
            at={at}
            gone={props.absent.has(at.layer * stack.heads + at.head)}
          />
        ) : (
          <span class="liw-muted">{hint}</span>
        )}
      </p>
      {sort !== "" && (
        <p class="liw-muted liw-heads-small">
          {hidden > 0 && say(W.HEADS_BELOW, { n: hidden, least: magnitude(least) })}
          {order.length > RANKED && (
            <button type="button" class="liw-button" onClick={() => setAll(!all)}>
              {all
                ? say(W.SHOW_THE_FIRST_N, { n: RANKED })
                : say(W.SHOW_ALL_N, { n: order.length })}
            </button>
          )}
        </p>
      )}
    </div>
  );
}

/** A head's name and scores, in one line. */
function Said({ drawn, stack, at, gone }: SaidProps): JSX.Element {
  const scores = Object.entries(SCORES).flatMap(([name, [title]]) => {
    const score = scoreOf(drawn, stack, name, at);
    return Number.isNaN(score) ? [] : [`${say(title)} ${magnitude(score)}`];
  });
  const picture = drawn?.pictures[at.layer];
  const standing = [
    ...(gone ? [say(W.NOT_IN_THIS_FILE)] : []),
    ...(picture?.stage === 1 ? [say(W.PICTURE_SAMPLED)] : []),
  ];
  return (
    <>
      <b>{say(W.HEAD_NAME, { layer: at.layer, head: at.head })}</b>
      <span class="liw-muted">{[...standing, ...scores].join(" · ")}</span>
    </>
  );
}

interface SaidProps extends Pick<Props, "drawn" | "stack"> {
  readonly at: HeadAt;
  readonly gone: boolean;
}

interface Grid {
  readonly columns: number;
  readonly side: number;
  readonly stepX: number;
  readonly stepY: number;
  readonly height: number;
  readonly margin: number;
}

function layOut({ layers, heads }: Stack, width: number, flow: boolean, count: number): Grid {
  if (flow) {
    const side = Math.min(64, (width - 7 * GAP) / 4);
    const columns = Math.max(1, Math.floor((width + 6 - 2 * PAD) / (side + 6)));
    const stepY = side + CAPTION + 4;
    const height = Math.max(1, Math.ceil(count / columns)) * stepY + PAD;
    return { columns, side, stepX: side + 6, stepY, height, margin: 0 };
  }
  const side = clamp((width - LEFT - 2 * PAD) / layers - GAP, 6, LARGEST);
  const step = side + GAP;
  const height = heads * step + UNDER + PROFILE + PAD;
  return { columns: layers, side, stepX: step, stepY: step, height, margin: 1 };
}

function drawAxes(
  context: CanvasRenderingContext2D,
  { side, stepX, stepY }: Grid,
  { layers, heads }: Stack,
  means: readonly number[],
  ink: string,
): void {
  context.fillStyle = ink;
  context.textBaseline = "middle";
  context.textAlign = "right";
  const skip = Math.max(1, Math.ceil(12 / stepY));
  for (let head = 0; head < heads; head += skip) {
    context.fillText(String(head), LEFT - 7, Math.max(6, head * stepY + side / 2));
  }
  context.textAlign = "center";
  const every = Math.max(1, Math.ceil(18 / stepX));
  for (let layer = 0; layer < layers; layer += every) {
    context.fillText(String(layer), LEFT + layer * stepX + side / 2, heads * stepY + 8);
  }
  context.globalAlpha = 0.4;
  const floor = heads * stepY + UNDER + PROFILE - 4;
  means.forEach((mean, layer) => {
    if (Number.isNaN(mean)) return;
    const tall = Math.max(1, mean * (PROFILE - 6));
    context.fillRect(LEFT + layer * stepX, floor - tall, side, tall);
  });
  context.globalAlpha = 1;
  context.textBaseline = "alphabetic";
  context.textAlign = "left";
}

const IMAGES = new WeakMap<Picture, { lut: Lut; image: HTMLCanvasElement | null }>();

/** A layer's heads in colours, one below the other. */
function imageOf(picture: Picture, lut: Lut): HTMLCanvasElement | null {
  const known = IMAGES.get(picture);
  if (known?.lut === lut) return known.image;
  const height = picture.codes.length / Math.max(1, picture.cols);
  const image = canvasOf(painted(picture.codes, lut), picture.cols, height);
  IMAGES.set(picture, { lut, image });
  return image;
}

export function same(a: HeadAt | null, b: HeadAt | null): boolean {
  return a !== null && b !== null && a.layer === b.layer && a.head === b.head;
}
