/** The style sheet of a view: what all share, what is its own, what the reader asked for last. */

import { paletteCss } from "../colour";
import base from "./base.css";
import controls from "./controls.css";
import folds from "./folds.css";
import honesty from "./honesty.css";
import preferences from "./preferences.css";
import values from "./values.css";

export function styleOf(...own: readonly string[]): string {
  return [paletteCss(), base, values, controls, honesty, folds, ...own, preferences].join("\n");
}
