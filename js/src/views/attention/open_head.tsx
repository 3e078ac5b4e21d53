/** The head that is open, as the board's traits say; the root of a bundle of its own. */

import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { Board, Ref, Stack } from "../../attention/board";
import { scaleOf } from "../../attention/ramp";
import { say, speak } from "../../say";
import * as W from "../../words";
import { Choice, type Pin } from "./controls";
import { Head } from "./head";
import { useBoard } from "./hooks";

/** Heads taken together. */
const TOGETHER = {
  "mean:layer": W.MEAN_OF_LAYER,
  "max:layer": W.LARGEST_OF_LAYER,
  "mean:all": W.MEAN_OF_ALL_HEADS,
  "max:all": W.LARGEST_OF_ALL_HEADS,
  "rollout:all": W.ROLLOUT_OF_ALL_LAYERS,
  "value:layer": W.VALUE_NORM_OF_LAYER,
  "value:all": W.VALUE_NORM_OF_ALL,
  "gradient:all": W.GRADIENT_OF_ALL,
};

export function OpenHead({ board }: { board: Board }): JSX.Element | null {
  const root = useRef<HTMLDivElement>(null);
  const theme = useBoard(board, root);
  const last = useRef({ layer: 0, head: 0 }); // what "one head" goes back to
  const stacks = board.stacks();
  const first = stacks[0];
  const stack = stacks.find(({ name }) => name === board.get("stack")) ?? first;
  speak(board.get("words"));
  if (stack === undefined || first === undefined) return <div ref={root} />;
  const [layer = 0, head = 0] = board.get("head") as number[];
  const open: Ref = { stack: stack.index, layer, head, how: String(board.get("how") ?? "") };
  if (head >= 0) last.current = { layer, head };
  else if (layer >= 0 && layer !== last.current.layer) last.current = { layer, head: 0 };
  const pins = (board.get("selected_heads") ?? []) as readonly Pin[];
  const pin: Pin = stack === first ? [layer, head] : [layer, head, stack.name];
  const others = pins.filter((one) => String(one) !== String(pin));
  const pinned = others.length < pins.length;
  return (
    <div ref={root}>
      <Head
        key={stack.name}
        board={board}
        stacks={stacks}
        stack={stack}
        head={open}
        theme={theme}
        scale={scaleOf(board.get("scale"))}
        pinned={pinned}
        onPin={() => board.set({ selected_heads: pinned ? others : [...pins, pin] })}
      >
        <Choice
          label={say(W.SHOW)}
          value={head < 0 ? `${open.how}:${layer < 0 ? "all" : "layer"}` : ""}
          options={[
            ["", say(W.HEAD_SHORT, { name: `${last.current.layer}.${last.current.head}` })],
            ...Object.entries(TOGETHER)
              .filter(([how]) => offers(board, stack, how))
              .map(
                ([how, words]) =>
                  [
                    how,
                    say(words as typeof W.MEAN_OF_LAYER, { layer: last.current.layer }),
                  ] as const,
              ),
          ]}
          onChoose={(chosen) => {
            const [how = "", of] = chosen.split(":");
            const { layer: own, head: number } = last.current;
            if (chosen === "") board.set({ head: [own, number], how: "" });
            else board.set({ head: [of === "all" ? -1 : own, -1], how });
          }}
        />
      </Head>
    </div>
  );
}

function offers(board: Board, stack: Stack, how: string): boolean {
  const name = how.split(":")[0] ?? "";
  return board.live && (name === "mean" || name === "max" || stack.can.includes(name));
}
