/** The style sheet of a view: what all share, what is its own, what the reader asked for last. */

import { paletteCss } from "../colour";
import base from "./base.css";
import controls from "./controls.css";
import folds from "./folds.css";
import honesty from "./honesty.css";
import preferences from "./preferences.css";
import progress from "./progress.css";
import values from "./values.css";

/** Of a view that shows a job. */
export function styleOfJob(...own: readonly string[]): string {
  return styleOf(progress, ...own);
}

export function styleOf(...own: readonly string[]): string {
  return [paletteCss(), base, values, controls, honesty, folds, ...own, preferences].join("\n");
}
