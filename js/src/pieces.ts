/** How tokens become running text: turns of a chat, leading spaces, line breaks. */

import type { TokenInfo } from "./protocol.gen";

/** Neighbouring tokens of one chat role; a plain prompt is a single turn without a role. */
export interface Turn {
  readonly role: string | null;
  readonly first: number;
  readonly tokens: readonly TokenInfo[];
}

export function turns(tokens: readonly TokenInfo[]): Turn[] {
  const found: { role: string | null; first: number; tokens: TokenInfo[] }[] = [];
  tokens.forEach((token, index) => {
    const last = found.at(-1);
    if (last !== undefined && last.role === token.role) last.tokens.push(token);
    else found.push({ role: token.role, first: index, tokens: [token] });
  });
  return found;
}

/** White space before the ink is not tinted, so that neighbouring words stay apart. */
export function splitLead(text: string): { readonly lead: string; readonly ink: string } {
  const ink = text.trimStart();
  if (ink === "" || /^\n/.test(text)) return { lead: "", ink: text };
  return { lead: text.slice(0, text.length - ink.length), ink };
}

/** Text cut before every line break: `"a\nb"` gives `["a", "\nb"]`. */
export function lines(text: string): string[] {
  return text.split(/(?=\n)/);
}
