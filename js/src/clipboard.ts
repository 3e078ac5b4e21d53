/** To the clipboard, or to a file where the clipboard is refused. */

export type Delivery = "copied" | "saved";

export async function deliver(blob: Blob, file: string): Promise<Delivery> {
  try {
    await copy(blob);
    return "copied";
  } catch {
    save(blob, file);
    return "saved";
  }
}

async function copy(blob: Blob): Promise<void> {
  if (blob.type === "image/png") {
    await navigator.clipboard.write([new ClipboardItem({ [blob.type]: blob })]);
  } else {
    await navigator.clipboard.writeText(await blob.text());
  }
}

function save(blob: Blob, file: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
