/** Entry of the ShapForce widget. */

import { entry } from "../entry";
import { styleOfJob } from "../styles";
import force from "../styles/force.css";
import outputs from "../styles/outputs.css";
import piece from "../styles/piece.css";
import { ForceView, TRAITS } from "../views/force";

export default entry({
  name: "shap_force",
  style: styleOfJob(outputs, piece, force),
  traits: TRAITS,
  View: ForceView,
});
