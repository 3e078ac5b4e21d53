/** Entry of the Beeswarm widget. */

import { styleOf } from "../styles";
import beeswarm from "../styles/beeswarm.css";
import limit from "../styles/limit.css";
import outputs from "../styles/outputs.css";
import ranking from "../styles/ranking.css";
import text from "../styles/text.css";
import tooltip from "../styles/tooltip.css";
import { BeeswarmView, TRAITS } from "../views/beeswarm";
import { collectionEntry } from "../views/collection_frame";

export default collectionEntry({
  name: "beeswarm",
  style: styleOf(limit, outputs, ranking, text, tooltip, beeswarm),
  traits: TRAITS,
  View: BeeswarmView,
});
