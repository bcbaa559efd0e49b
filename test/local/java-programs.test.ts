import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { compileJava } from "#local/java-programs.ts";
import { runToEnd } from "#local/processes.ts";

const folder = await mkdtemp(join(tmpdir(), "kafka-backup-java-"));
const source = join(folder, "Greeting.java");
const compiled = new Set<string>();
afterAll(async () => {
  for (const one of [folder, ...compiled]) await rm(one, { recursive: true });
});

async function compile(): Promise<string> {
  const { className, classpath } = await compileJava(source, folder);
  expect(className).toBe("Greeting");
  compiled.add(classpath.slice(0, -`:${folder}`.length));
  return classpath;
}

const write = (text: string) =>
  writeFile(
    source,
    `public class Greeting {
      public static void main(String[] args) { System.out.print("${text}" + args.length); }
    }`,
  );

test("a program is compiled once, whoever asks for it, and anew when it has changed", async () => {
  await write("first");
  const [one, other] = await Promise.all([compile(), compile()]);
  expect(one).toBe(other);
  expect(await runToEnd("java", ["-cp", one, "Greeting", "a", "b"])).toBe("first2");
  await write("second");
  expect(await runToEnd("java", ["-cp", await compile(), "Greeting"])).toBe("second0");
});

test("what does not compile is told in the compiler's words", async () => {
  await write('" + unknown + "');
  await expect(compileJava(source, folder)).rejects.toThrow(/Greeting.java:2: error: .*symbol/s);
});
