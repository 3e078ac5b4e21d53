/**
 * Part of the AttentionBrowser's exported page: answers what the view asks, from the heads that
 * the page keeps. The view cannot tell it from a kernel.
 */

import { answersFrom } from "../attention/answers";
import type { KernelModule } from "../model";
import type { AskHeads, HeadsAnswer } from "../protocol.gen";

export default {
  serve(model) {
    const latest = new Map<string, number>();
    const answer = answersFrom(() => model.get("kept"));
    const run = async ({ view, slot, id, wants }: AskHeads): Promise<void> => {
      latest.set(`${view}:${slot}`, id);
      for (const [want, wanted] of wants.entries()) {
        const reply = { type: "answer", view, id, want, said: {} } as const;
        try {
          const buffers = await answer(wanted);
          if (latest.get(`${view}:${slot}`) !== id) return;
          model.emit("msg:custom", { ...reply, error: null } satisfies HeadsAnswer, buffers);
        } catch (error) {
          const { name, message } = error as Error;
          const failure = { ...reply, error: { name, message } } satisfies HeadsAnswer;
          model.emit("msg:custom", failure, []);
        }
      }
    };
    model.on("sent", (content) => {
      if ((content as Partial<AskHeads>)?.type === "ask") void run(content as AskHeads);
    });
  },
} satisfies KernelModule;
