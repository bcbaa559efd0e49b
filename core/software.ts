import packageJson from "../package.json" with { type: "json" };

/** Name and version, as manifests record who wrote them. */
export const softwareName = `${packageJson.name} ${packageJson.version}`;
