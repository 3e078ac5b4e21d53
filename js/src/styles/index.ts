/** The style sheet of all views, in the order that matters. */

import { paletteCss } from "../colour";
import base from "./base.css";
import controls from "./controls.css";
import folds from "./folds.css";
import honesty from "./honesty.css";
import preferences from "./preferences.css";
import text from "./text.css";

export const STYLE = [paletteCss(), base, text, controls, honesty, folds, preferences].join("\n");
