// Generated from llm_interp_widgets/wire.py by `make protocol`. Do not edit.

export const PROTOCOL = 1;
export const ACK_EVERY = 8;

export type Status = "queued" | "running" | "done" | "cancelled" | "failed";
export type Verdict = "exact" | "converged" | "still moving" | "did not converge" | "unknown";
export type Level = "plain" | "warn" | "bad";
export type Unit = "logit" | "log_prob" | "prob" | "cosine" | "value" | "score";

/** One piece of the text as shown. ``start``/``end`` are characters of the prompt. */
export interface TokenInfo {
  text: string;
  start: number;
  end: number;
  special: boolean;
  role: string | null;
  position: number;
  size: number;
}

/** One entry of the honesty footer, e.g. ``{"label": "samples", "value": "512"}``. */
export interface Fact {
  label: string;
  value: string;
  level: Level;
}

/** A failure as the reader sees it. */
export interface ErrorInfo {
  name: string;
  message: string;
}

/** What is explained; fixed for the life of a job. */
export interface Subject {
  prompt: string;
  inputs: TokenInfo[];
  outputs: TokenInfo[];
  target: string;
  unit: Unit;
  method: string;
  method_title: string;
  caution: string;
}

/** Where the job stands; ``sentences`` has one plain sentence for each output. */
export interface JobState {
  status: Status;
  preview: boolean;
  verdict: Verdict;
  done: number;
  total: number;
  evaluations: number;
  seconds: number;
  sentences: string[];
  facts: Fact[];
  error: ErrorInfo | null;
}

/** The whole truth so far; a synchronised trait, so saved notebooks carry it. */
export interface Snapshot {
  protocol: number;
  job: string;
  seq: number;
  subject: Subject;
  state: JobState;
  scores: DataView;
  standard_error: DataView;
  totals: DataView;
}

/** Kernel to browser: rows ``row … row+rows-1`` are replaced. */
export interface Chunk {
  type: "chunk";
  job: string;
  seq: number;
  row: number;
  rows: number;
  state: JobState;
}

/** Browser to kernel: a view (re)appeared and wants the snapshot, then chunks. */
export interface Ready {
  type: "ready";
  binary: boolean;
}

/** Browser to kernel: does anybody hear? */
export interface Ping {
  type: "ping";
}

/** Browser to kernel: what was running is over, and nobody is busy with a view of it. */
export interface Rest {
  type: "rest";
}

/** Kernel to browser: yes. What was said before it was heard, too. */
export interface Pong {
  type: "pong";
}

/** Browser to kernel: everything up to ``seq`` was drawn. */
export interface Ack {
  type: "ack";
  job: string;
  seq: number;
}

/** Browser to kernel: stop the job, keep what it has. */
export interface Cancel {
  type: "cancel";
  job: string;
}

/** What a model nearly wrote: for each output, its likeliest tokens and how likely they were. */
export interface Alternatives {
  tokens: string[][];
  log_probs: DataView;
}

/** Browser to kernel: explain why this output and not that candidate. */
export interface AskContrast {
  type: "contrast";
  output: number;
  alternative: number;
}

/** What a local linear model was fitted to. */
export interface NeighbourhoodData {
  samples: number;
  places: number[];
  masks: DataView;
  values: DataView;
  proximity: DataView;
  intercept: DataView;
  fit: DataView;
}

/** Explanations of many texts. */
export interface CollectionData {
  protocol: number;
  texts: string[];
  outputs: string[];
  unit: Unit;
  method_title: string;
  caution: string;
  facts: Fact[];
  offsets: DataView;
  starts: DataView;
  ends: DataView;
  flags: DataView;
  scores: DataView;
  base_values: DataView;
  output_values: DataView;
}

/** What decides the weights of some layers, besides scores. */
export interface KeptRule {
  softcap: number | null;
  biases: number;
  sinks: boolean;
  seen: boolean;
  data: DataView;
}

/** Query heads of a layer that share a key head, deflated. */
export interface KeptPart {
  layer: number;
  head: number;
  heads: number;
  rank: number;
  data: DataView;
}

/** Heads of a stack as an exported page keeps them. */
export interface KeptHeads {
  encoding: "tables" | "scores";
  layers: number;
  heads: number;
  queries: number;
  keys: number;
  levels: number;
  rules: KeptRule[];
  rule_of: number[];
  parts: KeptPart[];
  error_max: number;
  error_mean: number;
  rows_checked: number;
  left_out: string;
}

/** Tokens that attend, or that are attended to. */
export interface AttentionText {
  tokens: string[];
  special: DataView;
  pieces: Record<string, DataView>;
  labels: Record<string, string[]>;
}

/** Heads that attend from one text to another; fixed for the life of a view. */
export interface AttentionStack {
  name: string;
  title: string;
  layers: number;
  heads: number;
  queries: number;
  keys: number;
  causal: boolean;
  target: string;
  can: string[];
  cannot: Record<string, string>;
  facts: Fact[];
}

/** What an attention browser shows: every stack of a pass, or of two. */
export interface AttentionSubject {
  protocol: number;
  title: string;
  caution: string;
  texts: AttentionText[];
  stacks: AttentionStack[];
}

/** All heads of a stack as pictures, as far as they are drawn; a synchronised trait. */
export interface AttentionOverview {
  rows: number;
  cols: number;
  stages: DataView;
  pictures: DataView;
  names: string[];
  scores: DataView;
  status: Status;
}

/** Kernel to browser: pictures of some layers, deflated, as in ``AttentionOverview``. */
export interface HeadsDrawn {
  type: "drawn";
  stack: number;
  layer: number;
  layers: number;
  rows: number;
  cols: number;
  stage: number;
}

/** Kernel to browser: what tells heads apart, as in ``AttentionOverview``. */
export interface HeadsScored {
  type: "scored";
  stack: number;
  names: string[];
}

/** One thing that a view asks of the heads. */
export interface Want {
  what: string;
  stack: number;
  layer: number;
  head: number;
  how: string;
  rows: number[];
  cols: number[];
  a: number;
  b: number;
}

/** Browser to kernel: everything wanted in a place of the view; replaces what was before. */
export interface AskHeads {
  type: "ask";
  view: string;
  slot: string;
  id: number;
  wants: Want[];
}

/** Kernel to browser: the answer to one want, as buffers and, for words, as ``said``. */
export interface HeadsAnswer {
  type: "answer";
  view: string;
  id: number;
  want: number;
  error: ErrorInfo | null;
  said: Record<string, string>;
}

/** Browser to kernel: a part of the view is needed, by the name of its bundle. */
export interface AskPart {
  type: "part";
  name: string;
}

/** Kernel to browser: a part's source text, as the only buffer. */
export interface PartSource {
  type: "part";
  name: string;
}
