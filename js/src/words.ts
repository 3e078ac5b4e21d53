/**
 * Every word that the views show or speak, in English; nothing else in this package says anything.
 *
 * Names in braces are places that are filled when it is said. A translation has the English text
 * as its key, in llm_interp_widgets/words/. Plain constants, so that a bundle holds only its own.
 */

/** What the `lang` attribute says of the texts below. */
export const LANGUAGE = "en";

// format.ts

export const COSINE_SIMILARITY = "cosine similarity";
export const LOG_PROBABILITY = "log-probability";
export const LOGIT = "logit";
export const PROBABILITY = "probability";
export const SCORE = "score";
export const VALUE = "value";
export const ORDINAL_TH = "{n}th";
export const ORDINAL_ST = "{n}st";
export const ORDINAL_ND = "{n}nd";
export const ORDINAL_RD = "{n}rd";
export const PER_SECOND = "{n}/s";
export const SECONDS = "{s} s";
export const MINUTES = "{min} min {s} s";
export const HOURS = "{h} h {min} min";
export const ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth";
export const LINE_BREAK = "line break";
export const EMPTY_TOKEN = "empty token";
export const SPACE = "space";
export const EXACT = "exact";
export const CONVERGED = "converged";
export const STILL_MOVING = "still moving";
export const DID_NOT_CONVERGE = "did not converge";
export const UNKNOWN = "unknown";
export const QUEUED = "queued";
export const RUNNING = "running";
export const DONE = "done";
export const CANCELLED = "cancelled";
export const FAILED = "failed";

// readings.ts

export const NTH_TOKEN = "{nth} token";
export const NTH_TOKEN_OF_TURN = "{nth} token of the {role} turn";
export const SPECIAL_NOT_SCORED = "special, not scored";
export const NO_SCORE_YET = "no score yet";
export const COMMA = ", ";
export const DIRECTION_NOT_SURE = "95 % interval crosses zero, direction not sure";
export const NOT_AN_EFFECT = "not an effect";
export const LEAVES_TARGET_AS_IT_IS = "leaves {target} as it is";
export const RAISES_TARGET = "raises {target}";
export const LOWERS_TARGET = "lowers {target}";

// views/frame.tsx

export const WAITING_FOR_THE_EXPLANATION = "Waiting for the explanation…";
export const SAVED_TOO_EARLY = "Saved before there was anything to show.";
export const WHY_TARGET = "Why {target}?";
export const TABLE = "Table";
export const EXPLANATION_ENDED = "Explanation {outcome}. {sentence}";
export const VERSIONS_DO_NOT_MATCH = "Versions do not match";
export const VERSIONS_HELP =
  "The kernel speaks protocol {theirs}, this view {ours}. Restart the kernel and run the cell again.";

// views/progress.tsx

export const PROGRESS_OF_THE_EXPLANATION = "Progress of the explanation";
export const WAITING_FOR_THE_MODEL = "waiting for the model";
export const KERNEL_BUSY = "the kernel is busy with a cell";
export const KERNEL_BUSY_STOPPING =
  "the kernel is busy with a cell: this stops when it ends, or interrupt it";
export const KERNEL_GONE = "its kernel is gone; run the cell again to finish";
export const STOPPING = "Stopping…";
export const CANCEL = "Cancel";
export const PREVIEW = "preview";
export const AT_OF_N = "{at} of {n}";
export const TIME_LEFT = "{time} left";
export const UNFINISHED = "unfinished";
export const STOPPED_WHILE_STILL_MOVING = "stopped while still moving";
export const FINISHED_CONVERGENCE_UNKNOWN = "finished, convergence unknown";
export const IN_UNDER_A_SECOND = "in under a second";
export const IN_TIME = "in {time}";

// views/footer.tsx

export const CAUTION = "Caution: ";
export const PROBLEM = "Problem: ";

// views/copy.tsx

export const COPIED = "Copied";
export const SAVED_AS_A_FILE = "Saved as a file";
export const NOT_POSSIBLE_HERE = "Not possible here";
export const COPY_SVG = "Copy SVG";
export const COPY_PNG = "Copy PNG";

// views/tokens.tsx

export const NAME_N_TOKENS = "{name}, {n} tokens";
export const PROMPT = "Prompt";
export const ROLE_TURN = "{role} turn";

// views/tooltip.tsx

export const SPECIAL_TOKEN = "special token, never switched off";
export const POINT_AT_A_TOKEN = "Point at a token for its value; click or Enter pins it.";
export const RANK_OF = "rank {rank} of {count}";
export const SHARE_OF_ALL_SCORES = "{share} of all scores";
export const SHARE_OF_ALL_EFFECTS = "{share} of all effects";

// views/table.tsx

export const TOKEN = "token";
export const SHARE = "share";
export const RANK = "rank";
export const SCORES_OF_ALL_TOKENS = "Scores of all tokens";
export const NOTE = "note";
export const COPY_CSV = "Copy CSV";
export const SPECIAL = "special";
export const ABSENT = "absent";
export const INTERVAL_CROSSES_ZERO = "interval crosses zero";

// views/outputs.tsx

export const OUTPUT = "Output";

// views/legend.tsx

export const LEFT_LOWERS = "← lowers";
export const BELOW = "below";
export const RIGHT_RAISES = "raises →";
export const ABOVE = "above";
export const UNIT_OF_TARGET = "{unit} of {target}";
export const UNIT_NOT_AN_EFFECT = "{unit} for {target}, not an effect";
export const NOT_COMPUTED = "dotted: not computed";
export const CROSSES_ZERO = "95 % interval crosses zero";

// views/toolbar.tsx

export const FIXED_SCALE_HELP = "Keep one colour scale, so that outputs can be compared";
export const FIXED_SCALE = "Fixed scale";
export const COLOUR_LIMIT = "Colour limit";

// picture.ts

export const HATCHED_CROSSES_ZERO = "hatched: 95 % interval crosses zero";
export const BLUE_LOWERS = "{unit} of {target}: blue lowers it, orange raises it";

// views/ranking.tsx

export const SHOW_THE_FIRST_N = "Show the first {n}";
export const SHOW_ALL_N = "Show all {n}";

// views/bar.tsx

export const WAITING_FOR_THE_FIRST_SCORES = "Waiting for the first scores…";
export const LEFT_OF_ZERO_LOWERS = "{unit} of {target}; left of zero lowers it, right raises it";
export const GREY_CROSSES_ZERO = "grey: 95 % interval crosses zero";
export const SEMICOLON = "; ";

// bars_picture.ts

export const UNIT_FOR_TARGET = "{unit} for {target}";
export const N_SMALLER_ONES_NOT_SHOWN = "{n} smaller ones not shown";

// views/waterfall.tsx

export const TEXT_AS_IT_IS = "Text as it is";
export const ALL_SWITCHED_OFF = "All switched off";
export const LOWERS = "lowers";
export const RAISES = "raises";
export const ONLY_THE_LARGEST = "Only the largest {n}";
export const N_OTHER_PIECES = "{n} other pieces";
export const NOT_EXPLAINED = "not explained";
export const TOGETHER_SHOW_THEM = "together; show them";

// views/force.tsx

export const PUSHES_UP = "pushes up";
export const PUSHES_DOWN = "pushes down";
export const ALL_SWITCHED_OFF_INLINE = "all switched off";
export const TEXT_AS_IT_IS_INLINE = "text as it is";
export const N_SMALLER = "{n} smaller";
export const SMALLER_TOGETHER = "{n} smaller pieces together";

// force_picture.ts

export const ORANGE_PUSHES_UP = "{unit} of {target}; orange pushes up, blue down";

// views/generation.tsx

export const WRITTEN = "Written";
export const POINT_AT_A_PIECE = "Point at a piece for its value; click or Enter pins it.";
export const ALL_OUTPUTS = "All outputs";
export const WRITTEN_BY_PROMPT = "Written tokens (rows) by pieces of the prompt";
export const COPY_MATRIX_AS_CSV = "Copy matrix as CSV";
export const NTH_WRITTEN_TOKEN = "{nth} written token";
export const NO_SCORE = "no score";
export const WHY_TOKEN_RATHER_THAN = "Why {token} rather than";

// views/matrix.tsx

export const MATRIX_KEYS =
  "{outputs} outputs by {inputs} inputs; arrows move, Enter picks, + and - zoom";
export const MATRIX_MOUSE = "Click picks a row, drag pans, Ctrl + wheel zooms.";
export const ZOOM_IN = "Zoom in";
export const ZOOM_OUT = "Zoom out";

// matrix_picture.ts

export const MATRIX_COLOURS =
  "{unit}, {low} (blue) to {high} (orange); grey: 95 % interval crosses zero";

// views/lime.tsx

export const FIT_OF_EACH = "R² of each: {each}";
export const WEIGHTS = "Weights";
export const UNIT_PER_PIECE = "{unit} of {target} per piece";
export const LINEAR_MODEL_AGAINST_THE_MODEL = "Linear model against the model";
export const N_MASKED_TEXTS = "{n} masked texts";
export const LINEAR_MODEL_AGAINST_MODEL = "linear model against model";
export const MASKED_TEXTS_NOT_KEPT = "The masked texts were not kept with this result.";
export const MASKED_TEXT_SAYS =
  "Masked text {n}: the model says {said}, the linear model {predicted}; proximity {proximity}";
export const RIGHT_OF_ZERO_RAISES = "right of zero raises {target}, left lowers it";
export const SCATTER_KEYS = "{n} masked texts; arrows go from near to far, Escape leaves";
export const MODEL_SAYS = "model says →";
export const LINEAR_MODEL_SAYS = "linear model says →";
export const MODEL = "model";
export const LINEAR_MODEL = "linear model";
export const PROXIMITY = "proximity";
export const OFF = "off";
export const MASKED_TEXTS_N = "Masked texts ({n})";
export const MASKED_TEXTS = "Masked texts";
export const TEXT = "text";
export const PREVIOUS = "Previous";
export const NEXT = "Next";

// neighbourhood.ts

export const FIT_UNKNOWN = "How well the linear model fits is not known.";
export const FIT_LOW = "Its weights say little.";
export const FIT_ROUGH = "Take its weights as a rough picture.";
export const FIT_FAIR = "Near this text it is a fair picture of the model.";
export const FIT =
  "The linear model explains {share} % of how the answer changes near this text (R²). {verdict}";

// views/compare.tsx

export const STRIPS_LEGEND =
  "Each strip is scaled by its own largest score. Bar up, orange: raises; bar down, blue: lowers; hatched: 95 % interval crosses zero.";
export const SIGNS_DIFFER = "signs differ";
export const RANKS_DIFFER = "high for one, low for another";
export const DISAGREE_IN_SIGN = "they disagree whether it raises or lowers";
export const POINT_AT_A_PIECE_FOR_VALUES =
  "Point at a piece for its values; click or Enter pins it.";
export const RANK_ONLY = "rank {rank}";
export const NOT_SURE = "not sure";
export const RANK_CORRELATION_SPEARMAN = "Rank correlation (Spearman)";
export const SCORES_OF_ALL_PIECES = "Scores of all pieces";
export const PIECE = "piece";

// compare.ts

export const SIDE_BY_SIDE = "{n} explanations side by side";
export const WAITING = "waiting";
export const BOTH_PUT_FIRST = "Both put {piece} first";
export const ALL_PUT_FIRST = "All {n} put {piece} first";
export const PUT_FIRST_UNSURE = "{put}, as far as their sampling can tell.";
export const PUT_FIRST = "{put}.";
export const DIFFERENT_FIRSTS = "They put different pieces first: {pieces}.";
export const AT_LEAST_RHO = "at least {rho}";
export const RANKINGS_ALIKE = "Their rankings are much alike (rank correlation {rho}).";
export const RANKINGS_DIFFER = "Their rankings differ (rank correlation {rho}).";
export const ONE_CLASH = "On 1 piece they disagree in sign.";
export const N_CLASHES = "On {n} pieces they disagree in sign.";
export const BETWEEN_SENTENCES = " ";

// compare_picture.ts

export const STRIPS_PICTURE =
  "Each strip scaled by its own largest score; grey: 95 % interval crosses zero";

// views/beeswarm.tsx

export const WORDS = "words";
export const GROUPS = "groups";
export const TENTHS_OF_THE_TEXT = "tenths of the text";
export const NUMBERS = "numbers";
export const THERE_IS_NOTHING_TO_SHOW = "There is nothing to show.";
export const NOTHING_IN_SO_MANY = "No {what} in so many texts.";
export const BARS_LEGEND =
  "Mean |{unit}| for {target} over the texts that have it, with 95 % interval over texts; the arrow says which way it pushes on average.";
export const BARS = "Bars";
export const COLOUR_BY_COUNT = "Colour by count";
export const IN_AT_LEAST_N_TEXTS = "in at least {n} texts";
export const SHOW_MORE_OF_N_WHAT = "Show more of {n} {what}";
export const OWN_TARGET = "each text’s own target";
export const A_DOT_ALL_SCORES = "A dot a text, all of its scores together.";
export const A_DOT_A_TEXT = "A dot a text.";
export const DOTS_NOT_AN_EFFECT = "From left to right: {unit} for {target}, not an effect.";
export const DOTS_EFFECT =
  "From left to right: {unit} of {target}; left of zero lowers it, right raises it.";
export const COLOUR_IS_COUNT = "Colour: stronger, the more often the text has it.";
export const COLOUR_IS_VALUE = "Colour: blue, the text has less of it than most; orange, more.";
export const COLOUR_IS_OUTPUT =
  "Colour: what the model says for {target}: blue {low}, grey {middle} (the middle text), orange {high}.";
export const WHAT_MATTERS_IN_1_TEXT = "What matters in 1 text";
export const WHAT_MATTERS_IN_N_TEXTS = "What matters in {n} texts";
export const POINT_AT_A_DOT =
  "Point at a dot for its value; click it, or press Enter on it, to read its text here.";
export const TEXT_N = "Text {n}";
export const PREVIOUS_TEXT = "Previous text";
export const NEXT_TEXT = "Next text";
export const CLOSE = "Close";
export const POINT_ONLY = "Point at a piece for its value.";

// views/swarm.tsx

export const DOTS_KEYS = "{n} rows of dots, a dot a text; arrows move, Enter shows the text";
export const NAMED_VALUE_IN_TEXT = "“{name}” {value} in text {n}";
export const NAMED_TIMES_IN_TEXT = "“{name}” {count} times in text {n}";
export const NAMED_IN_TEXT = "“{name}” in text {n}";
export const OUTPUT_FOR = "output for {target}: {said} {unit}";

// collection.ts

export const TENTH = "{from}–{to} % of the text";
export const CORRELATION_OVER = "rank correlation {rho} over {n} texts";
export const MORE_GOES_WITH_NEITHER =
  "“{name}”: whether more of it goes with higher or lower scores is not known ({how})";
export const MORE_GOES_WITH_HIGHER =
  "“{name}”: more of it goes with higher scores for {target} ({how})";
export const MORE_GOES_WITH_LOWER =
  "“{name}”: more of it goes with lower scores for {target} ({how})";
export const AGREE_OF_ONE = "{agree} of the one text that has it";
export const AGREE_OF_N = "{agree} of {n} texts that have it";
export const SCORED_HIGH = "“{name}” scored high in {texts}";
export const PUSHED_TOWARDS = "“{name}” pushed towards {target} in {texts}";
export const PUSHED_AWAY = "“{name}” pushed away from {target} in {texts}";
export const FULL_STOP = "{said}.";

// swarm_picture.ts

export const BARS_PICTURE = "mean |{unit}| for {target}, 95 % interval over texts";
export const DOTS_PICTURE = "{unit} for {target}, a dot a text";

// views/group_bars.tsx

export const MEAN_SPOKEN = "{unit}, mean over {n} texts; mean with sign {mean}";

// views/group_table.tsx

export const ROW = "row";
export const TEXTS = "texts";
export const MEAN_UNIT = "mean {unit}";
export const MEAN_SIZE = "mean |…|";
export const RANK_CORRELATION = "rank correlation";
export const MEANS_OF_ALL_ROWS = "Means of all rows";
export const FIRST_ROWS_ONLY = "The first {shown} of {n}; the copy has all.";

// attention/ramp.ts

export const CUBE_ROOT = "cube root";
export const LINEAR = "linear";
export const LOGARITHMIC = "logarithmic";

// attention/ranking.ts

export const INDUCTION = "induction";
export const INDUCTION_MEANING = "after a repeated token, looks at what followed it the first time";
export const PREVIOUS_TOKEN = "previous token";
export const PREVIOUS_TOKEN_MEANING = "looks at the token before";
export const DUPLICATE_TOKEN = "duplicate token";
export const DUPLICATE_TOKEN_MEANING = "looks at the same token earlier";
export const FIRST_TOKEN = "first token";
export const FIRST_TOKEN_MEANING = "rests on the first token: a sink";
export const ENTROPY = "entropy";
export const ENTROPY_MEANING = "spreads over many tokens (nats)";
export const DISTANCE = "distance";
export const DISTANCE_MEANING = "looks far back (tokens)";

// views/attention/browser.tsx

export const ATTENTION_WEIGHTS = "Attention weights";
export const KERNEL_LOST =
  "The kernel is gone: it was restarted, or this notebook was opened without it. What is drawn stays; run the cell for the rest.";
export const KERNEL_SILENT =
  "The kernel does not answer: it is busy with a cell, or gone. What is asked for comes when it is free.";
export const STACK = "Stack";
export const ORDER = "Order";
export const PLACE_IN_THE_MODEL = "place in the model";
export const SCORE_OF = "{score} score";
export const AT_LEAST = "at least";
export const N_HEADS = "{n} heads";
export const COLOURS = "Colours";
export const TABLE_OF_HEADS = "Table of heads";
export const WHERE_N_HEADS_LOOK = "Where {n} heads look";
export const WHERE_STACK_HEADS_LOOK = "Where {n} heads of the {stack} look";
export const WITHIN_EXACT = "weights within {error} of exact";
export const IN_THIS_FILE = "in this file";
export const LEFT_OUT = "left out";
export const DRAWING_STOPPED =
  "Stopped: {exact} of {n} layers are exact, the others sampled or not drawn.";
export const DRAWING_LAYER = "drawing layer {at} of {n}";
export const SAMPLED_EXACT = "sampled; exact {exact} of {n}";
export const PINNED_HEADS = "Pinned heads";
export const PINNED = "Pinned";
export const OPEN_PINNED = "{name}: open layer {layer}, head {head}";
export const UNPIN = "× Take layer {layer}, head {head} off the shelf";

// views/attention/compare.tsx

export const WITH = "with";
export const TEXT_OR_STACK = "Text or stack";
export const LAYER = "layer";
export const HEAD = "head";
export const OPEN_ONE_HEAD_TO_COMPARE_IT = "Open one head to compare it.";
export const FIRST_LESS_SECOND = "First less second: orange where the first gives more";
export const DIFFERENCE = "Difference";
export const NO_DIFFERENCE =
  "The texts have {first} and {second} pieces: there is no difference cell by cell. Texts of equal length, or taken together alike, have one.";

// views/attention/effect.tsx

export const NO_EFFECT_HERE = "Its effect is not to be had here: {why}";
export const SWITCH_IT_OFF = "Switch it off";
export const EFFECT = "{change} of {target}: {before} with it, {after} without.";
export const LIKELIEST = "Likeliest: {before}, without it {after}.";

// views/attention/head.tsx

export const MATRIX = "Matrix";
export const LINES = "Lines";
export const TEXT_MODE = "Text";
export const COMPARE = "Compare";
export const WHY_HERE = "Why here";
export const PIN = "Pin";
export const HOW_THE_HEAD_IS_SHOWN = "How the head is shown";
export const POINT_TO_SEE_WHERE =
  "Point at a token to see where it looks; click or Enter pins it, Escape lets go.";
export const POINT_AT_A_PLACE =
  "Point at a place for its tokens and weight; click or Enter pins it, Escape lets go.";
export const HIDE_BELOW = "hide below";
export const TAKE_TOGETHER = "Take together";
export const A_CELL_SHOWS = "A cell shows";
export const ITS_LARGEST_WEIGHT = "its largest weight";
export const AVERAGE_OF_QUERIES = "what its queries give it on average";
export const LARGEST_WEIGHTS = "Largest weights";
export const NOTHING = "nothing";
export const SENTENCES = "sentences";
export const TURNS_OF_THE_CHAT = "turns of the chat";
export const WINDOWS_OF_N_TOKENS = "windows of {n} tokens";
export const LEGEND_SCALE = "1 of a query’s attention, {scale}";
export const ORANGE_ATTENDS_TO_IT = "· orange: attends to it";

// views/attention/head_slot.tsx

export const OPENING = "Opening…";
export const RUN_THE_CELL_TO_OPEN_HEADS = "Run the cell to open heads.";
export const HEAD_NOT_LOADED = "The view of one head could not be loaded.";

// views/attention/head_table.tsx

export const SCORES_OF_ALL_HEADS = "Scores of all heads";
export const LAYER_HEAD = "layer.head";

// views/attention/largest.tsx

export const WEIGHT = "weight";
export const ATTENDS = "attends";
export const IS_ATTENDED_TO = "is attended to";

// views/attention/lines.tsx

export const LINES_KEYS = "Lines from {rows} queries to {keys} keys; up and down choose a query";

// views/attention/matrix.tsx

export const NOT_TO_BE_HAD = "not to be had";
export const COMPUTING = "computing…";
export const HEAD_KEYS =
  "{name}: {queries} queries by {keys} keys; arrows move, Enter pins, Escape lets go, + and - zoom, 0 shows all";
export const SHOW_ALL = "Show all";
export const ALL = "All";
export const COMPUTING_NOW = "Computing: {now}";

// views/attention/names.ts

export const MEAN_OF_ALL_HEADS = "mean of all heads";
export const LARGEST_OF_ALL_HEADS = "largest of all heads";
export const ROLLOUT_OVER_ALL_HEADS = "rollout over all heads";
export const VALUE_NORM_OF_ALL = "weight × value norm, all heads";
export const GRADIENT_OF_ALL = "weight × gradient, all heads";
export const HEAD_NAME = "Layer {layer}, head {head}";
export const HEADS_TOGETHER = "{layer}: {how}";
export const ALL_LAYERS = "All layers";
export const LAYER_NAME = "Layer {layer}";

// views/attention/open_head.tsx

export const MEAN_OF_LAYER = "mean of layer {layer}";
export const LARGEST_OF_LAYER = "largest of layer {layer}";
export const ROLLOUT_OF_ALL_LAYERS = "rollout of all layers";
export const VALUE_NORM_OF_LAYER = "weight × value norm, layer {layer}";
export const SHOW = "Show";
export const HEAD_SHORT = "head {name}";

// views/attention/overview.tsx

export const OVERVIEW_RANKED =
  "{score}: {meaning}. Point at a head for its scores; click opens it.";
export const OVERVIEW_WITH_PROFILE =
  "A column a layer, and below it the layer’s mean weight on the first token. Point at a head for its scores; click opens it.";
export const OVERVIEW_PLAIN = "A column a layer. Point at a head for its scores; click opens it.";
export const OVERVIEW_KEYS = "{layers} layers by {heads} heads; arrows move, Enter opens, p pins";
export const HEADS_BELOW = "{n} heads score less than {least}. ";
export const NOT_IN_THIS_FILE = "not in this file";
export const PICTURE_SAMPLED = "picture sampled: the middle query of each cell";

// views/attention/readout.tsx

export const COMES_LATER = "comes later and cannot be seen";
export const GETS_IN_ALL = "gets of all queries together {value}";
export const ATTENDS_MOST_TO_KEYS = "attends most to {keys}";
export const LARGEST_WEIGHT_VALUE = "largest weight {value}";
export const GIVEN_ON_AVERAGE = "its queries give it on average {value}";
export const WEIGHT_VALUE = "weight {value}";
export const SECOND_VALUE = "second {value}";
export const DIFFERENCE_VALUE = "difference {value}";
export const ROW_SUMS_TO_VALUE = "row sums to {value}";
export const ENTROPY_VALUE_NATS = "entropy {value} nats";
export const KEY_GETS = "key gets {value} in all";

// views/attention/search.tsx

export const FIND = "Find";
export const N_FOUND = "{n} found";

// views/attention/text.tsx

export const WHO_ATTENDS = "Who attends";
export const WHO_IS_ATTENDED_TO = "Who is attended to";
export const ATTENDS_HEADING = "Attends";
export const IS_ATTENDED_TO_HEADING = "Is attended to";
export const NAME_N_PIECES = "{name}, {n} pieces";

// views/attention/why.tsx

export const PIN_A_CELL =
  "Pin a cell of the matrix (click, or Enter): here its score is split into what made it.";
export const SCORES_BEFORE_SOFTMAX = "{query} scores {key} with {score} before the softmax.";
export const BY_EARLIER_COMPONENT_WHY = "By earlier component: {why}";
export const SPLIT_BY_EARLIER_COMPONENT = "Split by earlier component";
export const DIMENSION = "dimension {i}: {value}";
export const OVER_DIMENSIONS =
  "Over {n} dimensions, together {total}; the {few} largest ({which}) make {share}.";
export const WRITTEN_AT_QUERY = "What was written at “{token}” (query)";
export const WRITTEN_AT_KEY = "What was written at “{token}” (key)";
export const N_OTHERS = "{n} others";
