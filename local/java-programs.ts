/** Java programs of one source file. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { cacheDir, runToEnd } from "#local/processes.ts";

export interface JavaProgram {
  readonly className: string;
  /** The given one with the program's own classes in front. */
  readonly classpath: string;
}

/**
 * Compiles a program once for all who run it: `java FILE.java` would compile at each start, which
 * takes longer than what most of them do. Throws with the compiler's words.
 */
export async function compileJava(sourceFile: string, classpath: string): Promise<JavaProgram> {
  const source = await readFile(sourceFile);
  const className = basename(sourceFile, ".java");
  const hash = createHash("sha256").update(classpath).update("\0").update(source).digest("hex");
  const classes = join(cacheDir(), "java-classes", `${className}-${hash.slice(0, 16)}`);
  if (!existsSync(classes)) await compileInto(classes, sourceFile, classpath);
  return { className, classpath: `${classes}:${classpath}` };
}

/** A renamed folder appears with all of its classes, or not at all. */
async function compileInto(classes: string, sourceFile: string, classpath: string): Promise<void> {
  await mkdir(dirname(classes), { recursive: true });
  const partial = await mkdtemp(`${classes}-`);
  try {
    await runToEnd("javac", ["-d", partial, "-cp", classpath, sourceFile]);
    await rename(partial, classes);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    // Another process was faster.
    if (!existsSync(classes)) throw error;
  }
}
