/** Something for a second look; its content is made only while it is open. */

import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";

interface Props {
  readonly title: string;
  readonly children: ComponentChildren;
}

export function Fold({ title, children }: Props): JSX.Element {
  const [open, setOpen] = useState(false);
  return (
    <details class="liw-fold" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{title}</summary>
      {open && children}
    </details>
  );
}
