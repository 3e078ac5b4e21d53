/** Entry of the GenerationView widget. */

import { entry } from "../entry";
import { styleOfJob } from "../styles";
import generation from "../styles/generation.css";
import text from "../styles/text.css";
import { GenerationView, TRAITS } from "../views/generation";

export default entry({
  name: "generation_view",
  style: styleOfJob(text, generation),
  traits: TRAITS,
  View: GenerationView,
});
