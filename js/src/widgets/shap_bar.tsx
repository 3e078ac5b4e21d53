/** Entry of the ShapBar widget. */

import { entry } from "../entry";
import { styleOf } from "../styles";
import ranking from "../styles/ranking.css";
import { BarView, TRAITS } from "../views/bar";

export default entry({
  name: "shap_bar",
  style: styleOf(ranking),
  traits: TRAITS,
  View: BarView,
});
