import packageJson from "../package.json" with { type: "json" };

export const softwareVersion: string = packageJson.version;

/** Name and version, as manifests record who wrote them. */
export const softwareName = `${packageJson.name} ${softwareVersion}`;
