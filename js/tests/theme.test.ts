import { afterEach, describe, expect, it, vi } from "vitest";
import { themeOf } from "../src/theme";

const root = document.documentElement;

function shown(scheme: string, dark: boolean): string {
  root.style.colorScheme = scheme;
  vi.stubGlobal("matchMedia", () => ({ matches: dark, addEventListener() {} }));
  return themeOf(document.body.appendChild(document.createElement("div")));
}

afterEach(() => {
  root.style.colorScheme = "";
  vi.unstubAllGlobals();
  document.body.replaceChildren();
});

describe("a page without a background", () => {
  it("is white unless it speaks of dark, whatever the system likes", () => {
    expect(shown("", true)).toBe("light");
    expect(shown("normal", true)).toBe("light");
    expect(shown("light", true)).toBe("light");
  });

  it("follows the system where it says so, and is dark where it is dark only", () => {
    expect(shown("light dark", true)).toBe("dark");
    expect(shown("light dark", false)).toBe("light");
    expect(shown("dark", false)).toBe("dark");
  });
});
