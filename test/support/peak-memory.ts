/**
 * Loaded by a process before its program (`--import`): writes the most memory that it has held to
 * the file that PEAK_MEMORY names, in bytes, when it ends.
 */
import { writeFileSync } from "node:fs";

const file = process.env.PEAK_MEMORY;
if (file === undefined) throw new Error("PEAK_MEMORY names no file");
// Linux and macOS agree here, though not in getrusage itself: libuv makes KiB of both.
process.on("exit", () => writeFileSync(file, String(process.resourceUsage().maxRSS * 1024)));
