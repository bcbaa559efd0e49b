/**
 * Makes the README's terminal pictures anew, from what the commands print now on a real Kafka:
 *
 *   node_modules/.bin/node scripts/make-pictures.ts
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { commands, type PictureName, playSession } from "./pictures/session.ts";
import { svgOf } from "./pictures/svg.ts";

const folder = join(import.meta.dirname, "../docs/pictures");

const screens = await playSession();
await mkdir(folder, { recursive: true });
for (const [name, screen] of Object.entries(screens)) {
  await writeFile(join(folder, `${name}.svg`), svgOf(commands[name as PictureName], screen));
  process.stdout.write(`docs/pictures/${name}.svg\n`);
}
