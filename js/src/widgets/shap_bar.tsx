/** Entry of the ShapBar widget. */

import { entry } from "../entry";
import { styleOfJob } from "../styles";
import outputs from "../styles/outputs.css";
import piece from "../styles/piece.css";
import ranking from "../styles/ranking.css";
import { BarView, TRAITS } from "../views/bar";

export default entry({
  name: "shap_bar",
  style: styleOfJob(outputs, piece, ranking),
  traits: TRAITS,
  View: BarView,
});
