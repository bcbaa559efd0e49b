/** `plan-backup`: `PlanBackup`. */
export function pascalCase(name: string): string {
  return name.replaceAll(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** `Production/KafkaBackup/KafkaBackup`: `Production-KafkaBackup`, as dashboards may be called. */
export function nameOfPath(path: string): string {
  const ids = path.split("/").filter((id, i, all) => id !== all[i - 1]);
  return ids.join("-").replaceAll(/[^\w-]/g, "-");
}
