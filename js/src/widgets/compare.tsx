/** Entry of the Compare widget. */

import { entry } from "../entry";
import { styleOf } from "../styles";
import compare from "../styles/compare.css";
import outputs from "../styles/outputs.css";
import { CompareView, TRAITS } from "../views/compare";

export default entry({
  name: "compare",
  style: styleOf(outputs, compare),
  traits: TRAITS,
  View: CompareView,
});
