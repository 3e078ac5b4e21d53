/** Entry of the ShapWaterfall widget. */

import { entry } from "../entry";
import { styleOfJob } from "../styles";
import outputs from "../styles/outputs.css";
import piece from "../styles/piece.css";
import waterfall from "../styles/waterfall.css";
import { TRAITS, WaterfallView } from "../views/waterfall";

export default entry({
  name: "shap_waterfall",
  style: styleOfJob(outputs, piece, waterfall),
  traits: TRAITS,
  View: WaterfallView,
});
