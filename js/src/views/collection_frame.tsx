/**
 * What a view of many texts has around it: the traits of a model, and the page's light or dark.
 *
 * A collection has no job, so there are neither snapshots nor chunks: traits are all there is.
 */

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Theme } from "../colour";
import { Link } from "../link";
import type { Cleanup, Model, WidgetModule } from "../model";
import { addStyle, mount } from "../mount";
import { language, speak } from "../say";
import { watchTheme } from "../theme";
import { arrived } from "../travel";

export interface Traits {
  get(name: string): unknown;
  /** Changes a trait here and in the kernel; the view hears of it like of any change. */
  set(name: string, value: unknown): void;
  subscribe(listener: Cleanup): Cleanup;
}

interface Entry {
  /** Of the widget; its style sheet stands once a page under this name. */
  readonly name: string;
  readonly style: string;
  /** Traits whose changes the view wants to hear of. */
  readonly traits: readonly string[];
  readonly View: (props: { readonly traits: Traits }) => JSX.Element;
}

export function collectionEntry({ name, style, traits, View }: Entry): WidgetModule {
  return {
    render({ model, el, signal }) {
      addStyle(el, name, style);
      const link = new Link(model, () => {});
      const data = model.get("data") as { readonly scores?: unknown } | undefined;
      link.greet(data?.scores ?? null);
      link.close(); // nothing is asked for later
      return mount(el, <View traits={traitsOf(model, traits)} />, signal);
    },
  };
}

/** The traits of a model; it is listened to only while a view subscribes. */
export function traitsOf(model: Model, names: readonly string[]): Traits {
  return {
    get: (name) => arrived(model.get(name)),
    set(name, value) {
      if (Object.is(model.get(name), value)) return;
      model.set(name, value);
      model.save_changes();
    },
    subscribe(listener) {
      for (const name of names) model.on(`change:${name}`, listener);
      return () => {
        for (const name of names) model.off(`change:${name}`, listener);
      };
    },
  };
}

interface FrameProps {
  readonly traits: Traits;
  readonly children: (theme: Theme) => ComponentChildren;
}

/** Draws its content again whenever a trait or the theme changes. */
export function CollectionFrame({ traits, children }: FrameProps): JSX.Element {
  const [, redraw] = useState(0);
  const root = useRef<HTMLDivElement>(null);
  const [theme, setTheme] = useState<Theme>("light");
  useEffect(() => {
    const again = (): void => redraw((n) => n + 1);
    again(); // what changed before there was anyone to hear of it
    return traits.subscribe(again);
  }, [traits]);
  useEffect(() => (root.current ? watchTheme(root.current, setTheme) : undefined), []);
  speak(traits.get("words"));
  return (
    <div class="liw" ref={root} lang={language()} data-theme={theme} style={{ colorScheme: theme }}>
      {children(theme)}
    </div>
  );
}
