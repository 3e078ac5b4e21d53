/** Entry of the TokenHighlighter widget. */

import { entry } from "../entry";
import { styleOf } from "../styles";
import ranking from "../styles/ranking.css";
import text from "../styles/text.css";
import { Highlighter, TRAITS } from "../views/highlighter";

export default entry({
  name: "token_highlighter",
  style: styleOf(text, ranking),
  traits: TRAITS,
  View: Highlighter,
});
