/** Bytes of a record as a person or a script can read them. */

/** `auto`: text where it is text, else hexadecimal. */
export const byteForms = ["auto", "text", "hex"] as const;
export type ByteForm = (typeof byteForms)[number];

/** `bytes` is the length of all of it, also where only the beginning is shown. */
export type ShownBytes =
  | { readonly bytes: number; readonly text: string; readonly cut?: true }
  | { readonly bytes: number; readonly hex: string; readonly cut?: true };

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** Line ends and tabs are text; other control characters are not. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: to find them
const unprintable = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;

/**
 * At most the first `bytesMax` bytes; a character that the cut would divide is left out. `text` of
 * what is no UTF-8 has U+FFFD in the place of what cannot be read.
 */
export function shownBytes(bytes: Buffer, form: ByteForm, bytesMax: number): ShownBytes {
  const isCut = bytes.length > bytesMax;
  const beginning = bytes.subarray(0, bytesMax);
  const shown = { bytes: bytes.length, ...(isCut && { cut: true as const }) };
  if (form === "hex") return { ...shown, hex: beginning.toString("hex") };
  const whole = isCut ? withoutDividedCharacter(beginning) : beginning;
  if (form === "text") return { ...shown, text: whole.toString("utf8") };
  const text = textOf(whole);
  return text === undefined ? { ...shown, hex: beginning.toString("hex") } : { ...shown, text };
}

function textOf(bytes: Buffer): string | undefined {
  try {
    const text = strictUtf8.decode(bytes);
    return unprintable.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** A character of UTF-8 has at most four bytes: its first says how many, the others are 10xxxxxx. */
function withoutDividedCharacter(bytes: Buffer): Buffer {
  for (let back = 1; back <= Math.min(4, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if ((byte & 0xc0) === 0x80) continue;
    const wanted = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return wanted > back ? bytes.subarray(0, bytes.length - back) : bytes;
  }
  return bytes;
}
