/** `20260131T120000Z-1a2b3c4d`: sorts by time, and stays apart from a run of the same second. */
export function newRunId(nowMs: number, id: string): string {
  const time = new Date(nowMs).toISOString().replace(/[-:]|\.\d{3}/g, "");
  return `${time}-${id.slice(0, 8)}`;
}
