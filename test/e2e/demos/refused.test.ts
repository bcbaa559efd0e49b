/** What a demo says where it cannot be run: one clear line, before it has touched anything. */
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { freePort } from "#local/processes.ts";
import { demoTimeoutMs, runDemo } from "#test/e2e/demos/run-demo.ts";
import { s3ForTests } from "#test/support/s3.ts";

const timeout = demoTimeoutMs;
const demo = "demos/cli/backup-basic/demo.sh";
const serverlessDemo = "demos/serverless/three-phase/demo.sh";

let folder: string;
/** Of programs that a test puts in the place of others. */
let programs: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-demos-refused-"));
  programs = await mkdtemp(join(tmpdir(), "kafka-backup-demos-programs-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
  await rm(programs, { recursive: true, force: true });
});

/** Runs a demo that is to fail; returns what it said, without empty lines. */
async function refusalOf(
  command: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string[]> {
  const { code, output } = await runDemo(command, [], { folder, env });
  expect(code, output).toBe(1);
  expect(await readdir(folder)).toEqual([]);
  return output.split("\n").filter((line) => line !== "");
}

async function found(name: string): Promise<string> {
  for (const place of (process.env.PATH ?? "").split(delimiter)) {
    const names = await readdir(place).catch(() => [] as string[]);
    if (names.includes(name)) return join(place, name);
  }
  throw new Error(`there is no ${name} on the PATH`);
}

/** A PATH on which there are these programs and no others. */
async function pathOf(...names: string[]): Promise<string> {
  for (const name of names) await symlink(await found(name), join(programs, name));
  return programs;
}

async function listening(): Promise<{ readonly server: Server; readonly port: string }> {
  const port = await freePort();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return { server, port: String(port) };
}

describe("what is missing on the machine is named", () => {
  const base = ["bash", "dirname", "sed"];

  test("without Node", async () => {
    const said = await refusalOf(demo, { PATH: await pathOf(...base) });
    expect(said).toEqual(["FAILED: Node 20 or later is needed: there is no `node` on the PATH."]);
  });

  test("without Java, which Maven needs as well", async () => {
    const path = await pathOf(...base, "node", "mvn");
    await writeFile(join(programs, "python3"), "#!/bin/sh\necho Python 3.11.0\n", { mode: 0o755 });
    const said = await refusalOf(demo, { PATH: path, JAVA_HOME: undefined });
    expect(said).toEqual([
      "Java 17 or later is needed to run Apache Kafka: there is no `java` on the PATH.",
      "Maven is needed to fetch Apache Kafka: there is no working `mvn` on the PATH.",
    ]);
  });

  test("with an old Java", async () => {
    await writeFile(join(programs, "java"), "#!/bin/sh\necho 'version \"11.0.2\"' >&2\n", {
      mode: 0o755,
    });
    const said = await refusalOf(demo, { PATH: `${programs}${delimiter}${process.env.PATH}` });
    expect(said).toEqual([
      "Java 17 or later is needed to run Apache Kafka: `java` on the PATH is version 11.",
    ]);
  });

  test("without what this demo alone uses, before a service is started", async () => {
    const path = await pathOf(...base, "node");
    await writeFile(join(programs, "java"), "#!/bin/sh\necho 'version \"17.0.1\"' >&2\n", {
      mode: 0o755,
    });
    await writeFile(join(programs, "mvn"), "#!/bin/sh\n", { mode: 0o755 });
    await writeFile(join(programs, "python3"), "#!/bin/sh\necho Python 3.11.0\n", { mode: 0o755 });
    const said = await refusalOf(demo, { PATH: path });
    expect(said).toEqual(["FAILED: jq is needed: it is not on the PATH."]);
  });
});

describe("a port that is taken is named, with the variable that chooses another", () => {
  test.each(["DEMO_KAFKA_PORT", "DEMO_S3_PORT"])("of %s", { timeout }, async (variable) => {
    const { server, port } = await listening();
    try {
      const said = await refusalOf(demo, { [variable]: port });
      expect(said).toEqual([
        "Starting Apache Kafka and an S3 ...",
        `port ${port} on 127.0.0.1 is taken: set ${variable} to another, or leave it out for any free one`,
      ]);
    } finally {
      server.close();
    }
  });

  test("and what is no port at all", { timeout }, async () => {
    const said = await refusalOf(demo, { DEMO_KAFKA_PORT: "kafka" });
    expect(said.at(-1)).toBe("DEMO_KAFKA_PORT is not a port: kafka");
  });
});

describe("a service that does not come up is named", () => {
  test("Kafka, with the end of its log", { timeout }, async () => {
    const java = await found("java");
    const script = `case " $* " in
  *" kafka.Kafka "*) echo "no space left on device" >&2; exit 1 ;;
esac
exec '${java}' "$@"
`;
    const file = join(programs, "java");
    await writeFile(file, `#!/bin/sh\n${script}`);
    await chmod(file, 0o755);
    const said = await refusalOf(demo, { PATH: `${programs}${delimiter}${process.env.PATH}` });
    expect(said[1]).toMatch(/^kafka.* ended while starting \(exit code 1\); the end of \S+\.log:$/);
    expect(said.slice(2)).toEqual(["no space left on device"]);
  });

  test("the S3, with the end of its log", { timeout }, async () => {
    const shadow = join(programs, "ministack");
    await mkdir(shadow);
    await writeFile(join(shadow, "__init__.py"), 'raise SystemExit("no space left on device")\n');
    const said = await refusalOf(demo, { PYTHONPATH: programs });
    expect(said[1]).toMatch(/^ministack ended while starting \(exit code 1\); the end of /);
    expect(said.at(-1)).toBe("no space left on device");
  });
});

describe("services that are given and do not answer are named", () => {
  test("the broker", { timeout }, async () => {
    const address = `127.0.0.1:${await freePort()}`;
    const said = await refusalOf(demo, { BOOTSTRAP_SERVERS: address });
    expect(said).toEqual([
      `FAILED: no broker answers at ${address}, which BOOTSTRAP_SERVERS names.`,
    ]);
  });

  test("the S3", { timeout }, async () => {
    const endpoint = `http://127.0.0.1:${await freePort()}`;
    const { server, port } = await listening();
    try {
      const said = await refusalOf(demo, {
        BOOTSTRAP_SERVERS: `127.0.0.1:${port}`,
        AWS_ENDPOINT_URL_S3: endpoint,
      });
      expect(said).toEqual([
        `FAILED: no S3 answers at ${endpoint}, which AWS_ENDPOINT_URL_S3 names.`,
      ]);
    } finally {
      server.close();
    }
  });

  test("the emulator of a serverless demo", { timeout }, async () => {
    const endpoint = `http://127.0.0.1:${await freePort()}`;
    const { server, port } = await listening();
    try {
      const said = await refusalOf(serverlessDemo, {
        BOOTSTRAP_SERVERS: `127.0.0.1:${port}`,
        AWS_ENDPOINT_URL_S3: s3ForTests().endpoint,
        AWS_ENDPOINT_URL: endpoint,
      });
      expect(said).toEqual([
        `FAILED: no AWS emulator answers at ${endpoint}, which AWS_ENDPOINT_URL names.`,
      ]);
    } finally {
      server.close();
    }
  });
});
