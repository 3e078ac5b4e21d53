/** Entry of the ShapWaterfall widget. */

import { connect } from "../connect";
import type { Cleanup, InitializeProps, RenderProps, WidgetModule } from "../model";
import { addStyle, mount } from "../mount";
import { STYLE } from "../styles";
import waterfall from "../styles/waterfall.css";
import { TRAITS, WaterfallView } from "../views/waterfall";

function initialize({ model, signal }: InitializeProps): Cleanup {
  return connect(model, TRAITS, signal).release;
}

function render({ model, el, signal }: RenderProps): Cleanup {
  const { connection, release } = connect(model, TRAITS, signal);
  addStyle(el, "shap_waterfall", `${STYLE}\n${waterfall}`);
  const clear = mount(el, <WaterfallView connection={connection} />, signal);
  return () => {
    clear();
    release();
  };
}

const widget: WidgetModule = { initialize, render };
export default widget;
