/** Entry of the AttentionBrowser widget. */

import { Board } from "../attention/board";
import type { RenderProps } from "../model";
import { addStyle, mount } from "../mount";
import { styleOf } from "../styles";
import heads from "../styles/heads.css";
import { AttentionBrowserView } from "../views/attention/browser";

export default {
  render({ model, el, signal }: RenderProps) {
    addStyle(el, "attention_browser", styleOf(heads));
    const board = new Board(model, signal);
    const clear = mount(el, <AttentionBrowserView board={board} />, signal);
    return () => {
      clear();
      board.close();
    };
  },
};
