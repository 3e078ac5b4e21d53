/** Part of the AttentionBrowser: the head that is open. Loaded when there is one. */

import type { Board } from "../attention/board";
import type { PartModule } from "../model";
import { addStyle, mount } from "../mount";
import head from "../styles/open_head.css";
import { OpenHead } from "../views/attention/open_head";

export default {
  render(el, board, signal) {
    addStyle(el, "attention_head", head);
    mount(el, <OpenHead board={board as Board} />, signal);
  },
} satisfies PartModule;
