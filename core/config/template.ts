// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what the configuration calls variables
/**
 * A first configuration file with everything in it: what is needed to begin with as it stands,
 * the rest behind a `#` and ready to use. Made from the schema, so that it cannot lag behind.
 */
import { stringify } from "yaml";
import {
  configSection,
  type KeyReference,
  type Mode,
  type SectionReference,
  storageSections,
} from "#core/config/reference.ts";

const commentWidth = 90;

/** Values that fit a first try better than the reference's examples do. */
const firstValues: Readonly<Record<string, unknown>> = {
  bootstrap_servers: "${KAFKA_BOOTSTRAP_SERVERS:-localhost:9092}",
  include: ["*"],
  path: "${BACKUP_PATH:-./backups}",
};

export function configTemplate(mode: Mode): string {
  const top = configSection(mode);
  const lines = [
    `# kafka-backup: configuration of a ${mode}.`,
    ...comment(
      "Values may hold ${NAME} or ${NAME:-default}, from the environment; $${ stands for the characters themselves. Times, sizes and all keys are explained in docs/config.md.",
      "",
    ),
    ...comment(
      `Check it: kafka-backup config check --config FILE. Run it: kafka-backup ${mode} --config FILE.`,
      "",
    ),
    ...comment(
      "Keys behind a `#` in the first column are not in use; remove the `#` to use one.",
      "",
    ),
    "",
    `mode: ${mode}`,
    ...top.keys.filter(({ name }) => name !== "mode").flatMap((key) => keyLines(key, "", "")),
  ];
  for (const section of top.sections) {
    lines.push("", ...comment(section.description, ""));
    const off = section.isInUse ? "" : "#";
    lines.push(...(section.path === "storage" ? storageLines() : sectionLines(section, "", off)));
  }
  return `${lines.join("\n")}\n`;
}

function storageLines(): string[] {
  const [folder, bucket] = ["filesystem", "s3"].map((backend) =>
    storageSections().find(({ keys }) => keys[0]?.kind === backend),
  );
  if (folder === undefined || bucket === undefined) throw new Error("the schema lacks a backend");
  return [
    ...sectionLines(folder, "", ""),
    "",
    ...comment("Instead of the folder, a bucket: remove the `#` here and the lines above.", ""),
    ...sectionLines(bucket, "", "#"),
    "",
    ...comment("For Azure Blob Storage and Google Cloud Storage: docs/storage-guide.md.", ""),
  ];
}

/** `off` is `#` where the whole section is not in use. */
function sectionLines(section: SectionReference, indent: string, off: string): string[] {
  const inside = `${indent}  `;
  return [
    `${off}${indent}${section.path.split(".").at(-1)}:`,
    ...section.keys
      .filter(({ name }) => name !== "base_path")
      .flatMap((key) => keyLines(key, inside, off)),
    ...section.sections.flatMap((inner) => [
      ...comment(inner.description, inside),
      ...sectionLines(inner, inside, off),
    ]),
  ];
}

function keyLines(key: KeyReference, indent: string, off: string): string[] {
  const isChoice = key.name === "backend";
  const isFirst = key.isRequired || isChoice || key.name === "path";
  const value = isChoice ? key.kind : valueOfKey(key, isFirst && off === "");
  const mark = off !== "" || isFirst ? off : "#";
  const note = isShown(key.default) ? ` Unless said: ${String(key.default)}.` : "";
  const yaml = stringify({ [key.name]: value }, { lineWidth: 0 })
    .trimEnd()
    .split("\n");
  return [
    ...comment(`${key.description}${isFirst ? "" : note}`, indent),
    ...yaml.map((line) => `${mark}${indent}${line}`),
  ];
}

function valueOfKey(key: KeyReference, isFirst: boolean): unknown {
  const first = isFirst ? firstValues[key.name] : undefined;
  return first ?? key.example ?? key.default ?? "";
}

function isShown(value: unknown): boolean {
  return ["string", "number", "boolean"].includes(typeof value) && value !== "";
}

/** Lines of `# text`, wrapped. A key that is off has its `#` in the first column, with no space. */
function comment(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent.length + 2 + line.length + 1 + word.length > commentWidth) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].map((each) => `${indent}# ${each}`);
}
