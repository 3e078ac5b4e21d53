/** The head that is open, as the board's traits say; the root of a bundle of its own. */

import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { Board, Ref, Stack } from "../../attention/board";
import { scaleOf } from "../../attention/ramp";
import { Choice, type Pin } from "./controls";
import { Head } from "./head";
import { useBoard } from "./hooks";

/** Heads taken together; # stands for the layer. */
const TOGETHER: Readonly<Record<string, string>> = {
  "mean:layer": "Mean of layer #",
  "max:layer": "Largest of layer #",
  "mean:all": "Mean of all heads",
  "max:all": "Largest of all heads",
  "rollout:all": "Rollout of all layers",
  "value:layer": "Weight × value norm, layer #",
  "value:all": "Weight × value norm, all heads",
  "gradient:all": "Weight × gradient, all heads",
};

export function OpenHead({ board }: { board: Board }): JSX.Element | null {
  const root = useRef<HTMLDivElement>(null);
  const theme = useBoard(board, root);
  const last = useRef({ layer: 0, head: 0 }); // what "one head" goes back to
  const stacks = board.stacks();
  const first = stacks[0];
  const stack = stacks.find(({ name }) => name === board.get("stack")) ?? first;
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
          label="Show"
          value={head < 0 ? `${open.how}:${layer < 0 ? "all" : "layer"}` : ""}
          options={[
            ["", `head ${last.current.layer}.${last.current.head}`],
            ...Object.entries(TOGETHER)
              .filter(([how]) => offers(board, stack, how))
              .map(([how, words]) => [how, words.replace("#", `${last.current.layer}`)] as const),
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
