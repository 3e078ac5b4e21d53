/** Entry of the Beeswarm widget. */

import { entry } from "../entry";
import { styleOf } from "../styles";
import beeswarm from "../styles/beeswarm.css";
import limit from "../styles/limit.css";
import outputs from "../styles/outputs.css";
import ranking from "../styles/ranking.css";
import text from "../styles/text.css";
import { BeeswarmView, TRAITS } from "../views/beeswarm";

export default entry({
  name: "beeswarm",
  style: styleOf(limit, outputs, ranking, text, beeswarm),
  traits: TRAITS,
  View: BeeswarmView,
});
