/** What every widget's entry hands to the host: a view of one connection, in its style. */

import type { JSX } from "preact";
import { type Connection, connect } from "./connect";
import type { Cleanup, InitializeProps, RenderProps, WidgetModule } from "./model";
import { addStyle, mount } from "./mount";

interface Entry {
  /** Of the widget; its style sheet stands once a page under this name. */
  readonly name: string;
  readonly style: string;
  /** Two-way traits whose changes the view wants to hear of. */
  readonly traits: readonly string[];
  readonly View: (props: { readonly connection: Connection }) => JSX.Element;
}

export function entry({ name, style, traits, View }: Entry): WidgetModule {
  return {
    initialize({ model, signal }: InitializeProps): Cleanup {
      return connect(model, traits, signal).release;
    },
    render({ model, el, signal }: RenderProps): Cleanup {
      const { connection, release } = connect(model, traits, signal);
      addStyle(el, name, style);
      const clear = mount(el, <View connection={connection} />, signal);
      return () => {
        clear();
        release();
      };
    },
  };
}
