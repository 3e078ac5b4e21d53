/** Entry of the TokenHighlighter widget. */

import { entry } from "../entry";
import { styleOfJob } from "../styles";
import legend from "../styles/legend.css";
import limit from "../styles/limit.css";
import outputs from "../styles/outputs.css";
import piece from "../styles/piece.css";
import text from "../styles/text.css";
import tooltip from "../styles/tooltip.css";
import { Highlighter, TRAITS } from "../views/highlighter";

export default entry({
  name: "token_highlighter",
  style: styleOfJob(outputs, piece, legend, limit, text, tooltip),
  traits: TRAITS,
  View: Highlighter,
});
