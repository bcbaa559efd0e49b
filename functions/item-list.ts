/** A list of work items as the ItemReader of a state machine's Map is told of it. */
interface ItemList {
  /** Relative to the storage's root. */
  readonly key: string;
  readonly count: number;
}

export function itemListIn(
  { bucket, prefix }: { readonly bucket: string; readonly prefix: string },
  { key, count }: ItemList,
): ItemList & { readonly bucket: string } {
  return { bucket, key: prefix === "" ? key : `${prefix}/${key}`, count };
}
