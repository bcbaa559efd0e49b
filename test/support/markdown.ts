/** Commands in Markdown, for tests that hold documents against what they describe. */

export interface CommandBlock {
  /** Of its first line, from 1. */
  readonly line: number;
  readonly text: string;
}

/** The fenced blocks that are marked `sh`, in the order of the document. */
export function commandBlocks(markdown: string): CommandBlock[] {
  const blocks: CommandBlock[] = [];
  let open: { line: number; lines: string[]; isCommand: boolean } | undefined;
  for (const [index, line] of markdown.split("\n").entries()) {
    if (!line.startsWith("```")) {
      open?.lines.push(line);
    } else if (open === undefined) {
      open = { line: index + 2, lines: [], isCommand: line === "```sh" };
    } else {
      if (open.isCommand) blocks.push({ line: open.line, text: open.lines.join("\n") });
      open = undefined;
    }
  }
  if (open !== undefined) throw new Error(`the block at line ${open.line} is not closed`);
  return blocks;
}

/** Targets of links, as they are written. */
export function linkTargets(markdown: string): string[] {
  return [...markdown.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
}

/** Anchors of headings, as GitHub makes them. */
export function headingAnchors(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}
