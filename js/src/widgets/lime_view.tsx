/** Entry of the LimeView widget. */

import { entry } from "../entry";
import { styleOfJob } from "../styles";
import lime from "../styles/lime.css";
import outputs from "../styles/outputs.css";
import piece from "../styles/piece.css";
import ranking from "../styles/ranking.css";
import { LimeView, TRAITS } from "../views/lime";

export default entry({
  name: "lime_view",
  style: styleOfJob(outputs, piece, ranking, lime),
  traits: TRAITS,
  View: LimeView,
});
