/** Entry of the TokenHighlighter widget. */

import { connect } from "../connect";
import type { Cleanup, InitializeProps, RenderProps, WidgetModule } from "../model";
import { addStyle, mount } from "../mount";
import { STYLE } from "../styles";
import { Highlighter, TRAITS } from "../views/highlighter";

function initialize({ model, signal }: InitializeProps): Cleanup {
  return connect(model, TRAITS, signal).release;
}

function render({ model, el, signal }: RenderProps): Cleanup {
  const { connection, release } = connect(model, TRAITS, signal);
  addStyle(el, "token_highlighter", STYLE);
  const clear = mount(el, <Highlighter connection={connection} />, signal);
  return () => {
    clear();
    release();
  };
}

const widget: WidgetModule = { initialize, render };
export default widget;
