// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what the configuration calls variables
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { run } from "#cli/main.ts";
import { fakeIo } from "#test/cli/fake-io.ts";
import { backupText } from "#test/core/config/configuration.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-config-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

describe("config check", () => {
  test("says in one line on stdout that a file is right", async () => {
    const path = await file("right.yaml", backupText);
    const io = fakeIo();
    expect(await run(["config", "check", "--config", path], io)).toBe(0);
    expect(io.out()).toBe(`${path} is right: backup of nightly\n`);
    expect(io.err()).toBe("");
  });

  test("prints every problem with its place, and a hint, on stderr and ends with 2", async () => {
    const path = await file("wrong.yaml", `${backupText.replace("nightly", "../x")}colour: red\n`);
    const io = fakeIo();
    expect(await run(["config", "check", "--config", path], io)).toBe(2);
    expect(io.out()).toBe("");
    const lines = io.err().trimEnd().split("\n");
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(/^InvalidConfigError: .*wrong\.yaml:2:12 backup_id: /);
    expect(lines[1]).toMatch(/^ {2}.*wrong\.yaml:9:1 colour: unknown key$/);
    expect(lines[2]).toMatch(/^hint: /);
  });

  test.each(["json", "yaml"])("shows as %s what holds, defaults and all", async (format) => {
    const path = await file("right.yaml", backupText.replace("nightly", "${ID}"));
    const io = fakeIo({ env: { ID: "of-today" } });
    expect(await run(["config", "check", "--config", path, "--format", format], io)).toBe(0);
    expect(parse(io.out())).toMatchObject({
      backup_id: "of-today",
      backup: { compression: "zstd", max_concurrent_partitions: 4 },
    });
  });

  test("S5 shows no secret", async () => {
    const storage = "s3\n  bucket: abc\n  access_key_id: hunter2\n  secret_access_key: hunter2";
    const login = "security_protocol: SASL_SSL\n  sasl_mechanism: PLAIN\n  sasl_username: me\n  ";
    const text = backupText
      .replace("memory", `${storage}\n  session_token: hunter2`)
      .replace("topics:", `${login}sasl_password: \${P}\n  topics:`);
    const path = await file("secrets.yaml", text);
    const io = fakeIo({ env: { P: "hunter2" } });
    expect(await run(["config", "check", "--config", path, "--format", "json"], io)).toBe(0);
    expect(io.out()).toContain('"sasl_password": "***"');
    expect(io.out() + io.err()).not.toContain("hunter2");
  });

  test("a file that is not there, or is a folder, is refused with the system's word", async () => {
    for (const [path, code] of [
      [join(folder, "none.yaml"), "ENOENT"] as const,
      [folder, "EISDIR"],
    ]) {
      const io = fakeIo();
      expect(await run(["config", "check", "--config", path], io)).toBe(2);
      expect(io.err()).toContain(
        `InvalidRequestError: configuration ${path} cannot be read: ${code}`,
      );
    }
  });

  test("the stack is shown with --log-level debug only", async () => {
    const argv = ["config", "check", "--config", join(folder, "none.yaml")];
    const [quiet, debug] = [fakeIo(), fakeIo()];
    await run(argv, quiet);
    await run([...argv, "--log-level", "debug"], debug);
    expect(quiet.err()).not.toMatch(/^\s+at /m);
    expect(debug.err()).toMatch(/^\s+at /m);
    expect(debug.err()).toContain("caused by Error: ENOENT");
  });
});

describe("config init", () => {
  test.each(["backup", "restore"])("writes a %s file that passes config check", async (mode) => {
    const path = join(folder, `init-${mode}.yaml`);
    const io = fakeIo();
    expect(await run(["config", "init", mode, "--output", path], io)).toBe(0);
    expect(io.out()).toBe("");
    expect(await run(["config", "check", "--config", path], io)).toBe(0);
  });

  test("writes the same to stdout where no file is named", async () => {
    const path = join(folder, "same.yaml");
    const io = fakeIo();
    await run(["config", "init", "backup", "--output", path], fakeIo());
    expect(await run(["config", "init", "backup"], io)).toBe(0);
    expect(io.out()).toBe(await readFile(path, "utf8"));
  });

  test("never overwrites a file", async () => {
    const path = await file("mine.yaml", "mine\n");
    const io = fakeIo();
    expect(await run(["config", "init", "backup", "--output", path], io)).toBe(2);
    expect(io.err()).toContain("EEXIST");
    expect(await readFile(path, "utf8")).toBe("mine\n");
  });
});
