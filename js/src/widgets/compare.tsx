/** Entry of the Compare widget. */

import { entry } from "../entry";
import { styleOfJob } from "../styles";
import compare from "../styles/compare.css";
import outputs from "../styles/outputs.css";
import { CompareView, TRAITS } from "../views/compare";

export default entry({
  name: "compare",
  style: styleOfJob(outputs, compare),
  traits: TRAITS,
  View: CompareView,
});
