/** The configuration as a list of sections and keys, for documents that are generated from it. */
import { chosenOption, configJsonSchema, type JsonSchema } from "#core/config/json-schema.ts";

export interface KeyReference {
  readonly name: string;
  readonly description: string;
  readonly isRequired: boolean;
  /** `text`, `number of bytes`, `zstd, lz4 or none` … */
  readonly kind: string;
  readonly default: unknown;
  /** A value to show; undefined where the default shows enough. */
  readonly example: unknown;
}

export interface SectionReference {
  /** `source.topics`; empty for the top level. */
  readonly path: string;
  readonly description: string;
  readonly isRequired: boolean;
  /** False for a section that is not there, not even with defaults, unless it is given. */
  readonly isInUse: boolean;
  /** Keys with values of their own; not the sections inside. */
  readonly keys: readonly KeyReference[];
  readonly sections: readonly SectionReference[];
}

export type Mode = "backup" | "restore";

/** All that a file of this mode may hold. `storage` is given per backend by `storageSections`. */
export function configSection(mode: Mode): SectionReference {
  const schema = chosenOption(configJsonSchema(), { mode });
  if (schema === undefined) throw new Error(`the schema has no mode ${mode}`);
  return sectionOf("", schema, true);
}

/** The `storage` section, once for each backend. */
export function storageSections(): readonly SectionReference[] {
  const [option] = configJsonSchema().oneOf ?? [];
  const backends = option?.properties?.storage?.oneOf ?? [];
  return backends.map((schema) => sectionOf("storage", schema, true));
}

function sectionOf(path: string, schema: JsonSchema, isRequired: boolean): SectionReference {
  const properties = Object.entries(schema.properties ?? {});
  const isIn = (key: string) => schema.required?.includes(key) ?? false;
  const isSection = (property: JsonSchema) =>
    property.properties !== undefined || property.oneOf !== undefined;
  return {
    path,
    description: schema.description ?? "",
    isRequired,
    isInUse: isRequired || schema.default !== undefined,
    keys: properties
      .filter(([, property]) => !isSection(property))
      .map(([name, property]) => keyOf(name, property, isIn(name))),
    sections: properties
      .filter(([, property]) => isSection(property))
      .map(([name, property]) =>
        sectionOf(path === "" ? name : `${path}.${name}`, property, isIn(name)),
      ),
  };
}

function keyOf(name: string, schema: JsonSchema, isRequired: boolean): KeyReference {
  return {
    name,
    description: schema.description ?? "",
    isRequired,
    kind: kindOf(schema),
    default: schema.default,
    example: schema.example,
  };
}

function kindOf(schema: JsonSchema): string {
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum.join(", ");
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(kindOf))].join(" or ");
  switch (schema.type) {
    case "integer":
      return `whole number${rangeOf(schema)}`;
    case "boolean":
      return "true or false";
    case "array":
      return "list";
    case "object":
      return "mapping";
    default:
      return schema.format === "uri" ? "URL" : "text";
  }
}

/** Bounds that are only those of exact numbers in JSON say nothing. */
function rangeOf({ minimum, maximum }: JsonSchema): string {
  const hasMinimum = minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER;
  const hasMaximum = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
  if (hasMinimum && hasMaximum) return `, ${minimum} to ${maximum}`;
  if (hasMinimum) return `, ${minimum} or more`;
  return hasMaximum ? `, at most ${maximum}` : "";
}
