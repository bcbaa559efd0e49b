import { randomUUID } from "node:crypto";
import { openMemory } from "#core/storage/memory.ts";
import { storageContract } from "#test/contract/storage.ts";

const name = randomUUID();

storageContract("memory", async () => openMemory(name));
